/** nats-server as a process of its own on a free loopback port; it ends with the process that started it, however that ends. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { announce, benchDirectory, freePort } from '../surroundings.ts'

const START_LIMIT_MS = 10_000
const READY = 'Server is ready'

/**
 * @param settings more lines of its configuration
 * @param command the system's own unless told
 * @returns its address
 */
export const startNats = async (settings: readonly string[] = [], command = 'nats-server'): Promise<string> => {
  const port = await freePort()
  const file = join(benchDirectory(), `nats-${port}.conf`)
  await writeFile(file, `${[`listen: "127.0.0.1:${port}"`, 'max_pending: 536870912', ...settings].join('\n')}\n`)
  const server = spawn(command, ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  announce(server.pid)
  process.on('exit', () => server.kill('SIGKILL'))
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
  let said = ''
  const timer = setTimeout(() => reject(new Error(`nats-server is not ready; it said: ${said}`)), START_LIMIT_MS)
  server.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2_000)
    if (said.includes(READY)) resolve()
  })
  once(server, 'exit').then(() => reject(new Error(`nats-server ended; it said: ${said}`)), reject)
  await ready.finally(() => clearTimeout(timer))
  return `nats://127.0.0.1:${port}`
}
