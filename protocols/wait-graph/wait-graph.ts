/**
 * Who waits for whom, as a graph. A vertex is a request in line for a slot, a request that has one and waits for its own calls,
 * or the slots of a node; each goes on once ANY of those does that it waits for (the OR model of Chandy, Misra and Haas,
 * "Distributed deadlock detection", 1983). Pure.
 *
 * Requests have the key that both sides of a call know (wire/child-calls.ts); the slots of a node are named by its peer id.
 */
import type { ChildCall } from '../wire/child-calls.ts'

export interface Wait {
  readonly id: string
  /** Any of them. */
  readonly on: readonly string[]
  /** It has not begun: it can be refused, and nothing was done. */
  readonly isQueued?: boolean | undefined
}

export interface QueuedRequest {
  /** Who sent it. */
  readonly peer: string
  /** It has waited for the same since then: monotonic milliseconds. */
  readonly since: number
}

export interface RunningRequest extends QueuedRequest {
  /** Another number after each of its calls that began or ended. */
  readonly changes: number
  readonly calls: readonly ChildCall[]
}

/** What waits on one node at one moment. */
export interface WaitsHere {
  /** Peer id. */
  readonly self: string
  readonly queued: ReadonlyMap<string, QueuedRequest>
  /** All that have a slot, by their keys. */
  readonly running: ReadonlyMap<string, RunningRequest>
}

/** The slots of a node: whoever is in line waits for any request that has one to end. */
export const slotsOf = (peer: string): string => `slots:${peer}`

/** What is told twice waits for all that was told of it: whoever tells less makes no knot of what is none. */
export const joined = (waits: readonly Wait[]): Wait[] => {
  const all = new Map<string, Wait>()
  for (const wait of waits) {
    const { id, on, isQueued } = wait
    const known = all.get(id)
    const isSame = known?.on.length === on.length && known.on.every((one, i) => one === on[i])
    if (known === undefined) all.set(id, wait)
    else if (!isSame || isQueued !== known.isQueued)
      all.set(id, { id, on: [...new Set([...known.on, ...on])], isQueued: known.isQueued ?? isQueued })
  }
  return [...all.values()]
}

const reach = (from: string, next: ReadonlyMap<string, readonly string[]>): Set<string> => {
  const reached = new Set([from])
  const open = [from]
  for (let id = open.pop(); id !== undefined; id = open.pop())
    for (const one of next.get(id) ?? [])
      if (!reached.has(one)) {
        reached.add(one)
        open.push(one)
      }
  return reached
}

/**
 * Who gives way, where `start` stands in a knot: whatever can be reached from it is known to wait, and reaches it again. All
 * that begin in one knot choose the same: the request in line with the lowest key.
 * @returns undefined where there is no knot, or `start` only waits for one: whoever stands in it breaks it
 */
export const victimOf = (waits: readonly Wait[], start: string): string | undefined => {
  const on = new Map<string, readonly string[]>()
  const queued = new Set<string>()
  for (const wait of joined(waits)) {
    on.set(wait.id, wait.on)
    if (wait.isQueued === true) queued.add(wait.id)
  }
  const reached = reach(start, on)
  const back = new Map<string, string[]>()
  for (const id of reached) {
    const next = on.get(id)
    if (next === undefined || next.length === 0) return undefined
    for (const one of next) {
      const list = back.get(one)
      if (list === undefined) back.set(one, [id])
      else list.push(id)
    }
  }
  if (reach(start, back).size < reached.size) return undefined
  return [...reached].filter((id) => queued.has(id)).sort()[0]
}
