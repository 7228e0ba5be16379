import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod'
import { defineProtocol, type Handlers } from '../../../../protocols/define.ts'
import { ParleyError } from '../../../../protocols/errors.ts'
import {
  callerCodec,
  compile,
  DEFAULT_TIMEOUT_MS,
  factsOf,
  type RunContext,
} from '../../../../protocols/wire/payload/contract.ts'
import { decodePayload, encodePayload } from '../../../../protocols/wire/payload/payload.ts'
import { parleyErrorOf } from '../../../support/links.ts'

const Text = z.object({ text: z.string() })
const demo = defineProtocol({
  name: 'demo',
  version: '1.0.0',
  methods: {
    once: {
      request: Text,
      response: z.object({ length: z.number() }),
      timeoutMs: 500,
      priority: 'high',
      idempotent: true,
    },
    live: { request: Text, stream: z.string(), content: 'cbor', capability: 'watch' },
    note: { request: Text, oneWay: true },
  },
})

const CONTEXT: RunContext = {
  signal: new AbortController().signal,
  peer: 'alice',
  chain: ['alice', 'bob/demo.once'],
  get envelope(): never {
    throw new Error('not looked at')
  },
  remainingMs: () => 1000,
  extendMs: 1000,
  limitMs: () => Number.POSITIVE_INFINITY,
  progress() {},
}

const handlers: Handlers<typeof demo> = {
  once: ({ text }) => ({ length: text.length }),
  async *live({ text }) {
    yield* text
  },
  note() {},
}
const json = (value: unknown): Uint8Array => encodePayload('json', value)
const run = (given: Handlers<typeof demo>, method: string, payload: Uint8Array): unknown =>
  compile(demo, given).methods.get(method)?.run(payload, CONTEXT)

describe('compile', () => {
  it('runs a unary handler over bytes', async () => {
    const bytes = await (run(handlers, 'once', json({ text: 'four' })) as Promise<Uint8Array>)
    assert.deepEqual(decodePayload('json', bytes), { length: 4 })
  })

  it("runs a stream handler over bytes, in the method's own content", async () => {
    const items: unknown[] = []
    const stream = run(handlers, 'live', encodePayload('cbor', { text: 'abc' })) as AsyncIterable<Uint8Array>
    for await (const item of stream) items.push(decodePayload('cbor', item))
    assert.deepEqual(items, ['a', 'b', 'c'])
  })

  it('answers a one-way message with no bytes', async () => {
    assert.equal((await (run(handlers, 'note', json({ text: '' })) as Promise<Uint8Array>)).length, 0)
  })

  it('calls handlers that are methods of an object with that object as this', async () => {
    class Counter {
      calls = 0
      once(): { length: number } {
        this.calls += 1
        return { length: this.calls }
      }
      async *live(): AsyncGenerator<string> {}
      note(): void {}
    }
    const counter = new Counter()
    await run(counter, 'once', json({ text: '' }))
    assert.equal(counter.calls, 1)
  })

  it('refuses a request that does not fit with MSG001, before the handler', async () => {
    const strict = { ...handlers, once: () => assert.fail('the handler ran') }
    const error = await parleyErrorOf((async () => run(strict, 'once', json({ text: 1 })))())
    assert.equal(error.code, 'MSG001')
    assert.match(error.message, /demo\.once request/)
  })

  it('tells the caller that an answer did not fit, and nothing of its value', async () => {
    const wrong = { ...handlers, once: () => ({ length: 'secret value' }) as never }
    const error = await parleyErrorOf((async () => run(wrong, 'once', json({ text: '' })))())
    assert.equal(error.code, 'APP001')
    assert.match(error.message, /demo\.once answered with something that its contract does not allow/)
    assert.doesNotMatch(JSON.stringify([error.message, error.hint, error.details]), /secret/)
  })

  it('refuses a method without a handler and a handler without a method', () => {
    const { note: _, ...two } = handlers
    assert.throws(() => compile(demo, two as never), { code: 'MSG001', message: /demo\.note has no handler/ })
    assert.throws(() => compile(demo, { ...handlers, nothing() {} } as never), {
      code: 'MSG001',
      message: /no method nothing/,
    })
  })
})

describe('factsOf', () => {
  it('fills in what a method leaves out', () => {
    assert.deepEqual(factsOf('note', demo.methods.note), {
      name: 'note',
      kind: 'one-way',
      capability: undefined,
      timeoutMs: DEFAULT_TIMEOUT_MS,
      idempotent: false,
      content: 0,
      priority: 0,
    })
    assert.deepEqual(factsOf('once', demo.methods.once), {
      name: 'once',
      kind: 'unary',
      capability: undefined,
      timeoutMs: 500,
      idempotent: true,
      content: 0,
      priority: 2,
    })
    assert.deepEqual(
      [factsOf('live', demo.methods.live).content, factsOf('live', demo.methods.live).capability],
      [1, 'watch'],
    )
  })
})

describe('callerCodec', () => {
  it('checks what goes out and what comes in, and names the method', () => {
    const codec = callerCodec(demo, 'once', demo.methods.once)
    assert.throws(
      () => codec.encode({ text: 1 }),
      (error) =>
        error instanceof ParleyError && error.code === 'MSG001' && error.message.startsWith('demo.once request'),
    )
    assert.deepEqual(codec.decode(json({ length: 2 })), { length: 2 })
    assert.throws(() => codec.decode(json({ length: 'x' })), { code: 'MSG001', message: /demo\.once response/ })
    assert.throws(() => codec.decode(new Uint8Array([1])), { code: 'MSG003' })
  })

  it('gives nothing for the answer to a one-way message', () => {
    assert.equal(callerCodec(demo, 'note', demo.methods.note).decode(new Uint8Array(0)), undefined)
  })
})
