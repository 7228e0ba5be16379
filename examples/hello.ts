/** Two agents in one program: one greets, the other asks whoever can greet. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createMesh, defineProtocol, makeSecret } from '../node/index.ts'

const greeting = defineProtocol({
  name: 'greeting',
  version: '1.0.0',
  methods: {
    greet: {
      request: z.object({ name: z.string().min(1) }),
      response: z.object({ text: z.string() }),
    },
  },
})

const secret = makeSecret()
const host = await createMesh({ name: 'host', secret })
await host.serve(greeting, {
  greet: ({ name }) => ({ text: `Hello, ${name}!` }),
})

const guest = await createMesh({ name: 'guest', secret, join: host.self.addresses })
await guest.joined()

const { text } = await guest.any(greeting).greet({ name: 'world' })
process.stdout.write(`${text}\n`)

await guest.stop()
await host.stop()
assert.equal(text, 'Hello, world!')
