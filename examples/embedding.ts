/**
 * A node inside an existing program: an HTTP server answers its clients by asking the mesh.
 *
 * The node starts with the server and stops before it; a mesh error becomes a status that HTTP clients understand.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { z } from 'zod'
import { createMesh, defineProtocol, isParleyError, makeSecret } from '../node/index.ts'

const counter = defineProtocol({
  name: 'counter',
  version: '1.0.0',
  methods: {
    words: {
      request: z.object({ text: z.string() }),
      response: z.object({ words: z.number().int() }),
      idempotent: true,
    },
  },
})

const secret = makeSecret()
const mesh = await createMesh({ name: 'web', secret })

const server = createServer((request, response) => {
  const answer = async (): Promise<void> => {
    const text = new URL(request.url ?? '/', 'http://localhost').searchParams.get('text') ?? ''
    try {
      const result = await mesh.any(counter).words({ text }, { timeoutMs: 2_000 })
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result))
    } catch (error) {
      const status = isParleyError(error, 'COM004') ? 503 : 502
      response.writeHead(status).end(isParleyError(error) ? `${error.message}\n${error.hint ?? ''}\n` : 'failed\n')
    }
  }
  void answer()
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const address = server.address()
assert.ok(typeof address === 'object' && address !== null)
const url = `http://127.0.0.1:${address.port}/?text=${encodeURIComponent('one two three')}`

const before = await fetch(url)
const agent = await createMesh({ name: 'agent', secret, join: mesh.self.addresses })
await agent.serve(counter, { words: ({ text }) => ({ words: text.split(/\s+/).filter(Boolean).length }) })
await agent.joined()
const known = Promise.withResolvers<void>()
const stopLooking = mesh.directory.onChange(() => {
  if (mesh.directory.offers('counter', 1).length > 0) known.resolve()
})
if (mesh.directory.offers('counter', 1).length > 0) known.resolve()
await known.promise
stopLooking()
const after = await fetch(url)
const body: unknown = await after.json()

process.stdout.write(`nobody there: ${before.status}; with an agent: ${after.status} ${JSON.stringify(body)}\n`)
await agent.stop()
await mesh.stop()
await new Promise((resolve) => server.close(resolve))
assert.equal(before.status, 503)
assert.deepEqual(body, { words: 3 })
