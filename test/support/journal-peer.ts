/**
 * A process of its own with one node, asked over IPC for what a program asks of its journal and coordinator; see
 * journal-peers.ts. Each verb takes and gives plain data. It ends when whoever started it is gone.
 */
import { createHash } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import { createMesh, isParleyError, type Mesh, type MeshOptionsInput } from '../../node/index.ts'
import type { Json } from '../../protocols/journal/state/command-kind.ts'
import type { Failure } from './peer-process.ts'
import { createProbe, probe } from './probe.ts'

export interface Question {
  readonly id: number
  readonly verb: Verb
  readonly input: unknown
}
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly failure: Failure }

type Consistency = 'linearizable' | 'local'

let started: Mesh | undefined
const mesh = (): Mesh => {
  if (started === undefined) throw new Error('no mesh was started in this process')
  return started
}

const verbs = {
  start: async (options: MeshOptionsInput) => {
    const own = await createMesh({ log: 'error', debug: 0, ...options })
    started = own
    await own.serve(probe, createProbe(() => own.self.id).handlers)
    return { id: own.self.id, addresses: own.self.addresses }
  },
  put: async ({ key, value, ...options }: { key: string; value: Json; ifVersion?: number; timeoutMs?: number }) => {
    const { version, fence } = await mesh().journal.put(key, value, options)
    return { version, term: fence.term }
  },
  get: async ({ key, ...options }: { key: string; consistency?: Consistency; timeoutMs?: number }) =>
    mesh().journal.get(key, options),
  list: async ({ prefix, ...options }: { prefix: string; consistency?: Consistency; timeoutMs?: number }) =>
    (await mesh().journal.list(prefix, options)).records,
  /** All records that this node has, as one text. */
  digest: async (_: undefined) => {
    const { records } = await mesh().journal.list('', { consistency: 'local' })
    const hash = createHash('sha256')
    for (const { key, version, term, value } of records) hash.update(`${JSON.stringify([key, version, term, value])}\n`)
    return `${records.length} ${hash.digest('hex')}`
  },
  status: async (_: undefined) => mesh().coordinator.status(),
  /** To an agent, by peer id or name. @returns name of the one that coordinates then */
  transfer: async ({ to }: { to: string }) => {
    const signal = AbortSignal.timeout(10_000)
    for (;;) {
      try {
        const { leader } = await mesh().coordinator.transfer(to, { signal })
        return mesh().directory.get(leader)?.name
      } catch (error) {
        // Whoever was taken for the coordinator is so no more; the next one is about to be known.
        if (!isParleyError(error) || error.details.reason !== 'not-leader' || signal.aborted) throw error
        await setTimeout(50)
      }
    }
  },
  history: async ({ timeoutMs = 5_000 }: { timeoutMs?: number }) =>
    mesh().coordinator.history({ signal: AbortSignal.timeout(timeoutMs) }),
  /** A page of the node's own debug endpoint. */
  look: async ({ path }: { path: string }) => {
    const answer = await fetch(`${mesh().debugUrl}${path}`)
    return { status: answer.status, body: await answer.text() }
  },
  echo: async ({ to, text, timeoutMs }: { to: string; text: string; timeoutMs: number }) =>
    (await mesh().to(to, probe).echo({ text }, { timeoutMs })).text,
  stop: async (_: undefined) => mesh().stop(),
} as const

export type Verbs = typeof verbs
export type Verb = keyof Verbs
export type Input<V extends Verb> = Parameters<Verbs[V]>[0]
export type Output<V extends Verb> = Awaited<ReturnType<Verbs[V]>>

const failureOf = (error: unknown): Failure => {
  const given = typeof error === 'object' && error !== null ? (error as Partial<Failure>) : {}
  return {
    name: given.name ?? 'Error',
    message: given.message ?? String(error),
    code: given.code === undefined ? undefined : String(given.code),
    hint: given.hint,
    details: given.details,
    remote: given.remote === true,
  }
}

const say = (answer: Answer): void => void process.send?.(answer)

process.on('disconnect', () => process.exit(1))
process.on('message', ({ id, verb, input }: Question) => {
  const run = verbs[verb] as (input: unknown) => Promise<unknown>
  run(input).then(
    (value) => {
      say({ id, value })
      // Here, since most of these processes are killed.
      if (verb === 'start') flushCompileCache()
    },
    (error: unknown) => say({ id, failure: failureOf(error) }),
  )
})
