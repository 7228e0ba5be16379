/**
 * A node inside an HTTP service: its clients speak HTTP, and the service asks the mesh. The node starts with the server,
 * tells by its readiness whether a load balancer should send somebody here, and stops in order: first nobody new is let
 * in, then requests in work end, then the node says goodbye.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { z } from 'zod'
import { createMesh, defineProtocol, isParleyError, type Mesh, makeSecret } from '../node/index.ts'

const counter = defineProtocol({
  name: 'counter',
  version: '1.0.0',
  methods: {
    words: { request: z.object({ text: z.string().max(10_000) }), response: z.object({ words: z.int() }) },
  },
})

/** What an HTTP client understands of an error of the mesh. */
const STATUS = { MSG001: 400, COM001: 504, COM003: 503, COM004: 503 } as const
const statusOf = (code: string) => (code in STATUS ? STATUS[code as keyof typeof STATUS] : 502)

const createService = (mesh: Mesh): Hono => {
  const service = new Hono()
  service.get('/healthz', (context) => context.text('alive'))
  service.get('/readyz', (context) => {
    const readiness = mesh.readiness()
    return context.json(readiness, readiness.ready ? 200 : 503)
  })
  service.post('/words', async (context) => {
    const text = await context.req.text()
    // A client that leaves cancels the call, on the other side of the mesh as well.
    return context.json(await mesh.any(counter).words({ text }, { timeoutMs: 2_000, signal: context.req.raw.signal }))
  })
  service.onError((error, context) => {
    if (!isParleyError(error)) return context.json({ error: 'the service failed' }, 500)
    return context.json({ error: error.message, hint: error.hint, code: error.code }, statusOf(error.code))
  })
  return service
}

const secret = makeSecret()
const mesh = await createMesh({ name: 'web', secret })
const loading = mesh.notReady('the service is starting')
const server = serve({ fetch: createService(mesh).fetch, hostname: '127.0.0.1', port: 0 })
await once(server, 'listening')
const address = server.address()
assert.ok(typeof address === 'object' && address !== null)
const url = `http://127.0.0.1:${address.port}`

const stop = async (): Promise<void> => {
  // Whoever asks from here on is told; those in work are answered, within timings.drainMs.
  await mesh.drain()
  await new Promise((resolve) => server.close(resolve))
  await mesh.stop()
}
process.once('SIGTERM', () => void stop())

const starting = await fetch(`${url}/readyz`)
await loading.stop()
const ready = await fetch(`${url}/readyz`)

const ask = (text: string) => fetch(`${url}/words`, { method: 'POST', body: text })
const alone = await ask('one two three')
const agent = await createMesh({ name: 'agent', secret, join: mesh.self.addresses })
const hold = Promise.withResolvers<void>()
const held = Promise.withResolvers<void>()
await agent.serve(counter, {
  async words({ text }) {
    if (text === 'slow') {
      held.resolve()
      await hold.promise
    }
    return { words: text.split(/\s+/).filter(Boolean).length }
  },
})
await agent.joined()
for (let tries = 0; mesh.directory.offers('counter', 1).length === 0 && tries < 500; tries += 1)
  await new Promise((resolve) => setTimeout(resolve, 10))
const answered = await ask('one two three')
const body: unknown = await answered.json()

// Told to stop in the middle of a request: that one is still answered.
const last = ask('slow')
await held.promise
const stopped = stop()
const stopping = mesh.readiness()
hold.resolve()
const lastStatus = (await last).status
await Promise.all([stopped, agent.stop()])

process.stdout.write(
  `starting: ${starting.status}, ready: ${ready.status}; nobody there: ${alone.status}, with an agent: ${answered.status} ${JSON.stringify(body)}; in work at the end: ${lastStatus}\n`,
)
assert.deepEqual([starting.status, ready.status], [503, 200])
assert.equal(alone.status, 503)
assert.deepEqual(body, { words: 3 })
assert.equal(stopping.ready, false)
assert.equal(lastStatus, 200)
