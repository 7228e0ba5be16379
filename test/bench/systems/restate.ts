/**
 * Restate: one restate-server (its npm package has the binary), one service of the official SDK in the worker's process, and a
 * client that calls it through the ingress, over one HTTP/2 connection. Each step is a `ctx.run`. Not encrypted, not replicated.
 * Source: docs.restate.dev, guides to the server's configuration, to durable steps and to invocation by HTTP.
 */
import { spawn } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { type ClientHttp2Session, connect } from 'node:http2'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import * as restate from '@restatedev/restate-sdk'
import { z } from 'zod'
import { announce, benchDirectory, freePort } from '../surroundings.ts'
import { type System, TASK_STEP_CHARS, TASK_STEPS } from '../system.ts'

const SERVICE = 'bench'
const START_LIMIT_MS = 60_000
const LOOK_EACH_MS = 100
const OK = 200

const service = restate.service({
  name: SERVICE,
  handlers: {
    steps: async (ctx: restate.Context, n: number): Promise<number> => {
      let sum = n
      for (let i = 1; i <= TASK_STEPS; i += 1)
        sum += (await ctx.run(`step-${i}`, () => ({ i, data: 'x'.repeat(TASK_STEP_CHARS) }))).i
      return sum
    },
  },
})

/** In the package of this platform. */
const binary = (): string => {
  const { resolve } = createRequire(import.meta.url)
  const platform = `@restatedev/restate-server-${process.platform}-${process.arch}`
  return join(resolve(`${platform}/package.json`), '..', 'bin', 'restate-server')
}

/** @returns addresses of its two interfaces */
const startServer = async (): Promise<{ ingress: string; admin: string }> => {
  const [ingress, admin, node] = [await freePort(), await freePort(), await freePort()]
  const at = (port: number): string => `127.0.0.1:${port}`
  const server = spawn(binary(), ['--node-name', 'bench'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      RESTATE_BASE_DIR: await mkdtemp(join(benchDirectory(), 'restate-')),
      RESTATE_INGRESS__BIND_ADDRESS: at(ingress),
      RESTATE_ADMIN__BIND_ADDRESS: at(admin),
      RESTATE_BIND_ADDRESS: at(node),
      RESTATE_ADVERTISED_ADDRESS: `http://${at(node)}`,
      RESTATE_LOG_FILTER: 'error',
      DO_NOT_TRACK: '1',
    },
  })
  announce(server.pid)
  process.on('exit', () => server.kill('SIGKILL'))
  for (const endsAt = performance.now() + START_LIMIT_MS; ; await delay(LOOK_EACH_MS)) {
    if (server.exitCode !== null) throw new Error(`restate-server ended with ${server.exitCode}`)
    if (performance.now() > endsAt) throw new Error('restate-server is not ready')
    const health = await fetch(`http://${at(ingress)}/restate/health`).catch(() => undefined)
    if (health?.status === OK) return { ingress: `http://${at(ingress)}`, admin: `http://${at(admin)}` }
  }
}

const register = async (admin: string, port: number): Promise<void> => {
  for (const endsAt = performance.now() + START_LIMIT_MS; ; await delay(LOOK_EACH_MS)) {
    const answer = await fetch(`${admin}/deployments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ uri: `http://127.0.0.1:${port}` }),
    }).catch(() => undefined)
    if (answer?.ok === true) return
    if (performance.now() > endsAt) throw new Error('the service could not be registered')
  }
}

const call = (session: ClientHttp2Session, n: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const request = session.request({
      ':method': 'POST',
      ':path': `/${SERVICE}/steps`,
      'content-type': 'application/json',
    })
    let text = ''
    let status = 0
    request.setEncoding('utf8')
    request.on('response', (headers) => {
      status = Number(headers[':status'])
    })
    request.on('data', (piece: string) => {
      text += piece
    })
    request.on('end', () => {
      if (status === OK) resolve(z.number().parse(JSON.parse(text)))
      else reject(new Error(`the ingress answered ${status}: ${text}`))
    })
    request.on('error', reject)
    request.end(JSON.stringify(n))
  })

export const system: System = {
  tasks: {
    work: async () => {
      const { ingress, admin } = await startServer()
      const port = await freePort()
      await restate.serve({ services: [service], port })
      await register(admin, port)
      return { address: ingress, stop: async () => {} }
    },

    connect: async ([ingress = '']) => {
      const session = connect(ingress)
      return { run: (n) => call(session, n), stop: async () => session.close() }
    },
  },
}
