/** Changes of tasks at random, as they may come while a voter is of level 1: most of them fit what there is. Pure. */
import type { TaskRecord } from '../../../protocols/task/task-record.ts'
import { isFinal } from '../../../protocols/task/task-status.ts'
import type { Random } from '../../soak/random.ts'

export const LEADER = 'leader'
const SUBMITTER = 'ann'
const WORKERS = ['bob', 'carl', 'dora'] as const
const PEERS = [...WORKERS, LEADER, SUBMITTER] as const
/** Tasks that changes are about at a time, and changes until the oldest of them is left alone. */
const OPEN = 6
const TURN = 60
/** Until some are found that the same peer asks for. */
const TRIES = 16
const MOST_OTHERS = 4
const FAILURE = { code: 'APP001', message: 'it did not work' }

/** What there is, as one of the releases has it. */
export interface Seen {
  task(id: string): TaskRecord | undefined
  registration(peer: string): number | undefined
  readonly epoch: number
  readonly index: number
  /** Milliseconds since 1970. */
  readonly at: number
}

/** By whom, and what. */
export type Asked = readonly [by: string, change: { readonly do: string; readonly [name: string]: unknown }]

/** Some of a window over the ids, each with a child. @param turn how many were asked for */
export const idsAt = (turn: number): string[] =>
  Array.from({ length: OPEN }, (_, i) => `t${Math.floor(turn / TURN) + i}`).flatMap((id) => [id, `${id}.c`])

const submission = (random: Random, ids: readonly string[], id: string, at: number): object => {
  const [parent, child] = id.split('.')
  const on = random.pick(ids) ?? id
  return {
    ...{ id, type: random.next() < 0.5 ? 'sum' : 'add', priority: random.below(3), input: random.below(3) },
    digest: random.next() < 0.8 ? 'd' : 'e',
    retry: { max: random.below(3), delayMs: 100, maxDelayMs: 1_000 },
    ...(child !== undefined && { parent }),
    ...(random.next() < 0.2 && { deadline: at + random.below(5_000) }),
    ...(random.next() < 0.3 && { metadata: { a: 1 } }),
    ...(random.next() < 0.2 && { dependencies: [{ task_id: on, condition: 'finished' }] }),
  }
}

/** What an attempt, or whoever decides about it, may do to a task that is in work. */
const ofAttempt = (random: Random, id: string, record: TaskRecord, { epoch, index }: Seen): Asked => {
  const of = { id, fence: record.fence ?? { term: epoch, index } }
  const by = record.worker ?? WORKERS[0]
  const all: readonly Asked[] = [
    [by, { do: 'effect', ...of, name: 'a', key: '', value: random.below(9) }],
    [by, { do: 'effect', ...of, name: 'b', key: 'k', value: random.below(9) }],
    [by, { do: 'checkpoint', ...of, value: random.below(9) }],
    [by, { do: 'start', ...of }],
    [by, { do: 'complete', ...of, result: random.below(9) }],
    [by, { do: 'fail', ...of, error: FAILURE, retry: random.next() < 0.8 }],
    [by, { do: 'release', ...of, reason: 'it stops' }],
    [record.submitter, { do: 'pause', id }],
    [LEADER, { do: 'lose', epoch, ...of, reason: 'gone' }],
    [LEADER, { do: 'expire', epoch, id }],
  ]
  return random.pick(all) ?? [by, { do: 'start', ...of }]
}

const fitting = (random: Random, ids: readonly string[], id: string, seen: Seen): Asked => {
  const { epoch, at, index } = seen
  const record = seen.task(id)
  const [parent = id] = id.split('.')
  const submit = (one: string): object => submission(random, ids, one, at)
  if (record === undefined || (id !== parent && random.next() < 0.3)) {
    const by = id === parent ? SUBMITTER : (seen.task(parent)?.worker ?? SUBMITTER)
    const more = random.next() < 0.3 ? [submit(random.pick(ids) ?? id)] : []
    return [by, { do: 'submit', tasks: [submit(id), ...more] }]
  }
  if (!isFinal(record.status) && random.next() < 0.1) return [record.submitter, { do: 'cancel', id }]
  if (record.status === 'submitted') return [LEADER, { do: 'settle', epoch, id }]
  if (record.status === 'queued') {
    const worker = random.pick(WORKERS) ?? WORKERS[0]
    const registration = seen.registration(worker)
    if (registration !== undefined) return [LEADER, { do: 'place', epoch, id, worker, registration }]
    return [worker, { do: 'register', offers: [{ type: 'sum', slots: 2 }], incarnation: index }]
  }
  if (record.status === 'paused') return [record.submitter, { do: random.next() < 0.7 ? 'resume' : 'cancel', id }]
  if (!isFinal(record.status)) return ofAttempt(random, id, record, seen)
  const tasks = [{ id, endedAt: record.changedAt }]
  return [LEADER, { do: random.next() < 0.7 ? 'archive' : 'forget', epoch, tasks }]
}

/** By anybody, of anything. */
const astray = (random: Random, id: string, { epoch, index, ...seen }: Seen): Asked => {
  const by = random.pick(PEERS) ?? LEADER
  const registration = seen.registration(by) ?? random.below(9)
  const of = { id, fence: { term: epoch, index: Math.max(1, index - random.below(20)) } }
  const all: readonly Asked[] = [
    [by, { do: 'renew', registration }],
    [by, { do: 'register', offers: [{ type: 'add', slots: 1 }], incarnation: random.below(9), draining: true }],
    [by, { do: random.next() < 0.3 ? 'withdraw' : 'renew', registration }],
    [LEADER, { do: 'dismiss', epoch, worker: by, registration }],
    [by, { do: 'cancel', id, epoch: epoch - random.below(2) }],
    [by, { do: 'resume', id, checkpoint: 5 }],
    [LEADER, { do: 'explain', epoch, id, reason: 'no-worker' }],
    [by, { do: 'complete', ...of, result: 1 }],
    [by, { do: 'effect', ...of, name: 'a', key: '', value: 1 }],
  ]
  return random.pick(all) ?? [by, { do: 'renew', registration }]
}

/** Several that one peer asks for in one decision. */
export const randomChanges = (random: Random, turn: number, seen: Seen): readonly Asked[] => {
  const ids = idsAt(turn)
  const one = (): Asked => {
    const id = random.pick(ids) ?? 't0'
    return random.next() < 0.7 ? fitting(random, ids, id, seen) : astray(random, id, seen)
  }
  const first = one()
  const others = Array.from({ length: random.below(TRIES) }, one).filter(([by]) => by === first[0])
  return [first, ...others.slice(0, MOST_OTHERS)]
}
