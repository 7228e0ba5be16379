/** A protocol with each kind of method, and handlers that a test holds the strings of. */
import * as z from 'zod'
import { type Context, defineProtocol, type Handlers } from '../../protocols/define.ts'

export const demo = defineProtocol({
  name: 'demo',
  version: '1.2.0',
  methods: {
    /** Answers at once with what it was given. */
    echo: { request: z.unknown(), response: z.unknown(), timeoutMs: 1000 },
    /** Answers when the test says so. */
    hold: { request: z.unknown(), response: z.unknown(), timeoutMs: 1000 },
    /** Sends `items` items of `bytes` characters each, as fast as it may. */
    count: {
      request: z.object({ items: z.number(), bytes: z.number().default(1) }),
      stream: z.string(),
      timeoutMs: 10_000,
    },
    note: { request: z.unknown(), oneWay: true, timeoutMs: 1000 },
  },
})

export interface Held {
  input: unknown
  context: Context
  answer(value?: unknown): void
  fail(error: unknown): void
}

export interface Demo {
  handlers: Handlers<typeof demo>
  /** Calls of `hold`, in the order in which they began. */
  held: Held[]
  notes: unknown[]
  contexts: Context[]
  /** Items that `count` was asked for, all streams together, and how many of its streams have ended. */
  produced(): number
  streamsEnded(): number
}

export const createDemo = (): Demo => {
  const held: Held[] = []
  const notes: unknown[] = []
  const contexts: Context[] = []
  let produced = 0
  let streamsEnded = 0
  return {
    held,
    notes,
    contexts,
    produced: () => produced,
    streamsEnded: () => streamsEnded,
    handlers: {
      echo(input, context) {
        contexts.push(context)
        return input
      },
      hold: (input, context) =>
        new Promise((resolve, reject) => {
          held.push({ input, context, answer: resolve, fail: reject })
        }),
      async *count({ items, bytes }, context) {
        contexts.push(context)
        try {
          for (let i = 0; i < items; i += 1) {
            produced += 1
            yield `${i}`.padEnd(bytes, '.')
          }
        } finally {
          streamsEnded += 1
        }
      },
      note(input, context) {
        contexts.push(context)
        notes.push(input)
      },
    },
  }
}
