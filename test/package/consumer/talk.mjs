// A program of somebody who installed the package: two nodes, one call, one event; and what of it was loaded.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createMesh, defineProtocol, isParleyError, makeSecret, VERSION } from 'parley-mesh'
import { createDirectory } from 'parley-mesh/discovery'
import { wireId } from 'parley-mesh/protocols'
import { z } from 'zod'

const greeting = defineProtocol({
  name: 'greeting',
  version: '1.0.0',
  methods: { greet: { request: z.object({ name: z.string() }), response: z.object({ text: z.string() }) } },
})
const secret = makeSecret()
const host = await createMesh({ name: 'host', secret, log: 'error' })
await host.serve(greeting, { greet: ({ name }) => ({ text: `Hello, ${name}!` }) })
const guest = await createMesh({ name: 'guest', secret, log: 'error', join: host.self.addresses })
await guest.joined()
const heard = Promise.withResolvers()
await guest.events.subscribe('news.*', ({ data }) => heard.resolve(data))
const { text } = await guest.to(host.self.id, greeting).greet({ name: 'world' })
await host.events.publish('news.today', 'dry')
assert.equal(text, 'Hello, world!')
assert.equal(await heard.promise, 'dry')
assert.equal(wireId(greeting), '/parley/greeting/1')
assert.equal(typeof createDirectory, 'function')
const refused = await guest
  .to(host.self.id, greeting)
  .greet({ name: 7 })
  .catch((error) => error)
assert.ok(isParleyError(refused, 'MSG001'))
const own = JSON.parse(readFileSync(new URL(import.meta.resolve('parley-mesh/package.json')), 'utf8'))
assert.equal(VERSION, own.version)
await guest.stop()
await host.stop()
process.stdout.write(`two nodes of ${VERSION} talk on Node ${process.versions.node}\n`)
