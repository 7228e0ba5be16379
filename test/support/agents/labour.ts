/** Work that takes its time, with and without reports of progress: the contract, and handlers for it. */
import * as z from 'zod'
import { type Context, defineProtocol, type Handlers, type Progress } from '../../../protocols/define.ts'

const Nothing = z.object({})
const Work = z.object({ ms: z.number(), everyMs: z.number().optional() })

export const labour = defineProtocol({
  name: 'labour',
  version: '1.0.0',
  methods: {
    /** Takes `ms`, and reports progress each `everyMs`, or never. */
    take: { request: Work, response: z.object({ remainingMs: z.number() }), timeoutMs: 1_000 },
    takeAgain: { request: Work, response: z.object({ remainingMs: z.number() }), timeoutMs: 1_000, idempotent: true },
    /** The same as a stream without an item before its end. */
    live: { request: Work, stream: z.string(), timeoutMs: 1_000 },
    /** Its thread does not turn, as where one computes without a pause. */
    block: { request: Work, response: Nothing, timeoutMs: 20_000 },
    /** Answers when its caller gives up. */
    hang: { request: Nothing, response: Nothing, timeoutMs: 20_000 },
    /** Has another peer take `ms`, and tells the reports that came of it. */
    pass: {
      request: Work.extend({ peer: z.string() }),
      response: z.array(z.object({ fraction: z.number().optional(), note: z.string().optional(), peer: z.string() })),
      timeoutMs: 10_000,
    },
  },
})

type Take = (
  peer: string,
  work: z.input<typeof Work>,
  told: (report: Progress, peer: string) => void,
) => Promise<unknown>

const wait = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })

const labourFor = async (
  { ms, everyMs }: z.output<typeof Work>,
  { progress, signal, remainingMs }: Context,
): Promise<{ remainingMs: number }> => {
  const startedAt = performance.now()
  for (let doneMs = 0; doneMs < ms; doneMs = performance.now() - startedAt) {
    await wait(Math.min(everyMs ?? ms, ms - doneMs), signal)
    if (everyMs !== undefined) progress((performance.now() - startedAt) / ms, 'on it')
  }
  return { remainingMs: remainingMs() }
}

/** @param take calls the method of this name at another peer */
export const labourHandlers = (take: Take): Handlers<typeof labour> => ({
  take: labourFor,
  takeAgain: labourFor,
  async *live({ ms, everyMs = ms }, { progress, signal }) {
    for (let doneMs = 0; doneMs < ms; doneMs += everyMs) {
      await wait(everyMs, signal)
      progress(doneMs / ms)
    }
    yield 'done'
  },
  block({ ms }) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
    return {}
  },
  async hang(_, { signal }) {
    await wait(2 ** 31 - 1, signal)
    return {}
  },
  async pass({ peer, ...work }) {
    const told: (Progress & { peer: string })[] = []
    await take(peer, work, (report, by) => void told.push({ ...report, peer: by }))
    return told
  },
})
