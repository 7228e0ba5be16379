/** What the nodes of the soak ask each other: one method for each way in which a call may go. */
import * as z from 'zod'
import { defineProtocol, type Handlers } from '../../protocols/define.ts'

const Numbered = z.object({ n: z.number(), text: z.string() })
const Answered = Numbered.extend({ by: z.string() })

export const soak = defineProtocol({
  name: 'soak',
  version: '1.0.0',
  methods: {
    echo: { request: Numbered, response: Answered, idempotent: true, timeoutMs: 30_000 },
    /** The same, and it must not be done twice. */
    once: { request: Numbered, response: Answered, timeoutMs: 30_000 },
    binary: { request: Numbered, response: Answered, idempotent: true, content: 'cbor', timeoutMs: 30_000 },
    /** Never answers. */
    hold: { request: z.object({ n: z.number() }), response: z.object({}), timeoutMs: 30_000 },
    count: {
      request: z.object({ to: z.number(), text: z.string() }),
      stream: z.object({ n: z.number(), text: z.string() }),
      timeoutMs: 30_000,
    },
    note: { request: z.object({ n: z.number() }), oneWay: true, timeoutMs: 30_000 },
  },
})

export interface Answering {
  readonly handlers: Handlers<typeof soak>
  /** Handlers and streams that have begun and not ended. */
  held(): number
  notes(): number
}

export const createAnswering = (self: () => string): Answering => {
  let held = 0
  let notes = 0
  const answer = ({ n, text }: { n: number; text: string }) => ({ n, text, by: self() })
  return {
    held: () => held,
    notes: () => notes,
    handlers: {
      echo: answer,
      once: answer,
      binary: answer,
      hold(_, { signal }) {
        held += 1
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            held -= 1
            reject(signal.reason)
          })
        })
      },
      async *count({ to, text }) {
        held += 1
        try {
          for (let n = 1; n <= to; n += 1) yield { n, text }
        } finally {
          held -= 1
        }
      },
      note() {
        notes += 1
      },
    },
  }
}
