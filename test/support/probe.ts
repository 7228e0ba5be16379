/** The contract that integration tests call: one method for each way in which a call can go. */
import * as z from 'zod'
import { defineProtocol, type Handlers } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'

const Text = z.object({ text: z.string() })
const Tag = z.object({ tag: z.string() })
const Count = z.object({ to: z.number(), bytes: z.number().default(0) })

export const probe = defineProtocol({
  name: 'probe',
  version: '1.0.0',
  methods: {
    echo: { request: Text, response: Text, idempotent: true },
    /** The same, but it must not run twice. */
    once: { request: Text, response: Text },
    who: { request: z.object({}), response: z.object({ id: z.string() }), idempotent: true },
    /** Answers when it is released, or never. */
    hold: { request: Tag, response: Tag },
    holdAgain: { request: Tag, response: Tag, idempotent: true },
    /** 1, 2, 3 … with a filling of that many bytes. */
    count: { request: Count, stream: z.object({ n: z.number(), fill: z.string() }), timeoutMs: 60_000 },
    note: { request: Text, oneWay: true },
    fail: { request: z.object({ typed: z.boolean() }), response: Text },
    /** Answers with something that the contract forbids. */
    lie: { request: z.object({}), response: Text },
    launch: { request: z.object({}), response: Text, capability: 'launch' },
  },
})

/** The same protocol as a later release has it: a field and a method more. */
export const newerProbe = defineProtocol({
  name: 'probe',
  version: '1.3.0',
  methods: {
    ...probe.methods,
    echo: {
      request: Text.extend({ shout: z.boolean().optional() }),
      response: Text.extend({ length: z.number().optional() }),
      idempotent: true,
    },
    reverse: { request: Text, response: Text },
  },
})

/** What the methods of probe did on one node. */
export interface Journal {
  /** Tags that hold was called with. */
  held: string[]
  /** Tags whose signal was aborted, with the code of the reason. */
  aborted: { tag: string; code: string }[]
  answered: string[]
  notes: string[]
  /** Items that count has made. */
  made: number
  /** Streams of count that ended, however. */
  streamsEnded: number
  launched: number
}

export interface ProbeNode {
  readonly journal: Journal
  readonly handlers: Handlers<typeof probe>
  /** Lets hold answer: the one with this tag, or all. */
  release(tag?: string): void
}

const codeOf = (reason: unknown): string =>
  typeof reason === 'object' && reason !== null && 'code' in reason ? String(reason.code) : String(reason)

export const createProbe = (id: () => string): ProbeNode => {
  const holds = new Map<string, () => void>()
  /** Streams share it: what each takes of memory is what waits of it. */
  let filling = ''
  const journal: Journal = { held: [], aborted: [], answered: [], notes: [], made: 0, streamsEnded: 0, launched: 0 }

  const hold = ({ tag }: { tag: string }, { signal }: { signal: AbortSignal }): Promise<{ tag: string }> => {
    journal.held.push(tag)
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => {
        holds.delete(tag)
        journal.aborted.push({ tag, code: codeOf(signal.reason) })
        reject(signal.reason)
      })
      holds.set(tag, () => {
        holds.delete(tag)
        journal.answered.push(tag)
        resolve({ tag })
      })
    })
  }

  return {
    journal,
    release(tag) {
      for (const [name, answer] of [...holds]) if (tag === undefined || tag === name) answer()
    },
    handlers: {
      echo: ({ text }) => ({ text }),
      once: ({ text }) => ({ text }),
      who: () => ({ id: id() }),
      hold,
      holdAgain: hold,
      async *count({ to, bytes }) {
        if (filling.length !== bytes) filling = 'x'.repeat(bytes)
        const fill = filling
        try {
          for (let n = 1; n <= to; n += 1) {
            journal.made = Math.max(journal.made, n)
            yield { n, fill }
          }
        } finally {
          journal.streamsEnded += 1
        }
      },
      note({ text }) {
        journal.notes.push(text)
      },
      fail({ typed }) {
        if (typed) throw new ParleyError('STA001', 'no such thing', { hint: 'ask for another', details: { thing: 7 } })
        throw new Error('the key lies under the mat')
      },
      // What a program without types could return.
      lie: () => JSON.parse('{"text":42}'),
      launch() {
        journal.launched += 1
        return { text: 'launched' }
      },
    },
  }
}
