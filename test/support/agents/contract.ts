/** The contract that the tests of agents in worker threads call, and the events they exchange. */
import * as z from 'zod'
import { defineProtocol } from '../../../protocols/define.ts'
import { defineEvent } from '../../../protocols/events/define-event.ts'

const Text = z.object({ text: z.string() })
const Nothing = z.object({})
/** Answers say how many are left. */
const Tokens = z.object({ tokens: z.number() })

export const toil = defineProtocol({
  name: 'toil',
  version: '1.2.0',
  methods: {
    echo: { request: Text, response: Text, idempotent: true, description: 'Says it again.' },
    /** The payload as it is, to see whether bytes come through whole. */
    mirror: { request: z.instanceof(Uint8Array), response: z.instanceof(Uint8Array), content: 'bytes' },
    context: {
      request: Nothing,
      response: z.object({
        peer: z.string(),
        remainingMs: z.number(),
        conversationId: z.string().optional(),
        headers: z.record(z.string(), z.string()),
        source: z.string(),
        self: z.string(),
        payloadBytes: z.number(),
      }),
    },
    /** Computes without a pause, as a busy agent does. */
    spin: { request: z.object({ ms: z.number() }), response: Nothing, timeoutMs: 20_000 },
    /** Waits until it is cancelled. */
    hold: { request: Text, response: Text },
    holdAgain: { request: Text, response: Text, idempotent: true },
    state: {
      request: Nothing,
      response: z.object({ held: z.number(), aborted: z.array(z.string()), made: z.number() }),
    },
    count: {
      request: z.object({ to: z.number(), bytes: z.number() }),
      stream: z.object({ n: z.number(), fill: z.string() }),
    },
    refuse: { request: Nothing, response: Nothing },
    break: { request: Nothing, response: Nothing },
    crash: { request: Nothing, oneWay: true },
    /** Spends tokens of the budget of its request. */
    pay: { request: Tokens, response: Tokens },
    payEach: { request: Tokens, stream: Tokens },
  },
})

/** What an agent in a worker is asked to do with the mesh. */
export const errand = defineProtocol({
  name: 'errand',
  version: '1.0.0',
  methods: {
    /** Has another agent pay twice out of what it has, by a call and by a stream, and pays as much itself. */
    payThrice: { request: Tokens, response: Tokens },
    any: { request: Text, response: Text },
    to: { request: z.object({ peer: z.string(), text: z.string() }), response: Text },
    all: { request: z.object({ count: z.number().optional() }), response: z.array(z.string()) },
    stream: { request: z.object({ to: z.number(), take: z.number() }), response: z.array(z.number()) },
    failing: { request: Nothing, response: z.object({ code: z.string(), message: z.string(), remote: z.boolean() }) },
    wrong: { request: Nothing, response: z.object({ code: z.string() }) },
    publish: { request: Text, response: z.object({ topic: z.string(), sequence: z.number() }) },
    publishWrong: { request: Nothing, response: z.object({ code: z.string() }) },
    heard: { request: Nothing, response: z.object({ texts: z.array(z.string()), invalid: z.number() }) },
    here: {
      request: Nothing,
      response: z.object({ self: z.string(), members: z.array(z.string()), agents: z.array(z.string()) }),
    },
  },
})

export const word = defineEvent({ topic: 'words.spoken', version: '1.1.0', schema: z.object({ text: z.string() }) })
export const stopped = defineEvent({ topic: 'words.stopped', version: '1.0.0', schema: z.object({ name: z.string() }) })
