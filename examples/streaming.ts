/** A streaming answer, read at the reader's pace, and broken off in the middle: the handler is told. */
import assert from 'node:assert/strict'
import { z } from 'zod'
import { createMesh, defineProtocol, makeSecret } from '../node/index.ts'

const writer = defineProtocol({
  name: 'writer',
  version: '1.0.0',
  methods: {
    words: { request: z.object({ text: z.string() }), stream: z.string(), timeoutMs: 60_000 },
  },
})

let stopped = false
const secret = makeSecret()
const author = await createMesh({ name: 'author', secret })
await author.serve(writer, {
  async *words({ text }, { signal }) {
    try {
      for (const word of text.split(' ')) {
        signal.throwIfAborted()
        yield word
      }
    } finally {
      stopped = true
    }
  },
})

const reader = await createMesh({ name: 'reader', secret, join: author.self.addresses })
await reader.joined()

const words: string[] = []
for await (const word of reader.any(writer).words({ text: 'agents talk to each other without a broker' })) {
  words.push(word)
}
process.stdout.write(`${words.join(' / ')}\n`)
assert.equal(words.length, 8)
assert.ok(stopped)

stopped = false
const endless = 'on and '.repeat(50_000)
let read = 0
for await (const _ of reader.any(writer).words({ text: endless })) {
  read += 1
  if (read === 10) break
}
const giveUpAt = Date.now() + 5_000
while (!stopped && Date.now() < giveUpAt) await new Promise(setImmediate)

await Promise.all([reader.stop(), author.stop()])
assert.ok(stopped, 'the author went on after the reader had left')
process.stdout.write(`left after ${read} words, and the author stopped\n`)
