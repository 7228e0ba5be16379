/** The states of a task, which moves there are between them, and how A2A calls them. Pure. */

/** As seed 001 names the field; all but `running` are ours. */
export const TASK_STATUSES = [
  'submitted',
  'queued',
  'assigned',
  'running',
  'paused',
  'input_required',
  'auth_required',
  'completed',
  'failed',
  'canceled',
  'rejected',
] as const
export type TaskStatus = (typeof TASK_STATUSES)[number]

export const FINAL_STATUSES = ['completed', 'failed', 'canceled', 'rejected'] as const
export type FinalStatus = (typeof FINAL_STATUSES)[number]

const RESUMABLE: readonly TaskStatus[] = ['running', 'canceled', 'failed']

/** From each state, where one move leads. */
export const MOVES: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  submitted: ['queued', 'rejected'],
  queued: ['assigned', 'canceled', 'failed'],
  assigned: ['running', 'queued', 'canceled'],
  running: ['paused', 'input_required', 'auth_required', 'completed', 'failed', 'canceled', 'queued'],
  paused: RESUMABLE,
  input_required: RESUMABLE,
  auth_required: RESUMABLE,
  completed: [],
  failed: [],
  canceled: [],
  rejected: [],
}

export const isFinal = (status: TaskStatus): status is FinalStatus => MOVES[status].length === 0

/**
 * The moves of one entry, the state that it ends in last: an entry may make several, as where a task that waits for others
 * is canceled. Empty where there is no way.
 */
export const movesBetween = (from: TaskStatus, to: TaskStatus): readonly TaskStatus[] => {
  const ways: TaskStatus[][] = [[from]]
  const seen = new Set<TaskStatus>([from])
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    const last = way.at(-1) ?? from
    if (last === to && way.length > 1) return way.slice(1)
    for (const next of MOVES[last]) {
      if (next === to) return [...way.slice(1), next]
      if (seen.has(next)) continue
      seen.add(next)
      ways.push([...way, next])
    }
  }
  return []
}

/** Names of TaskState in A2A 1.0. */
export const A2A_STATES: Readonly<Record<TaskStatus, string>> = {
  submitted: 'SUBMITTED',
  queued: 'SUBMITTED',
  assigned: 'SUBMITTED',
  running: 'WORKING',
  paused: 'WORKING',
  input_required: 'INPUT_REQUIRED',
  auth_required: 'AUTH_REQUIRED',
  completed: 'COMPLETED',
  failed: 'FAILED',
  canceled: 'CANCELED',
  rejected: 'REJECTED',
}
