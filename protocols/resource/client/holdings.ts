/**
 * What this node asked for and has been given: it hears of each change, and says so to whoever waits.
 *
 * State: those that are open, with who waits for each.
 */
import { waitFor } from '../../async.ts'
import { ParleyError, stateError } from '../../errors.ts'
import type { Fence } from '../../journal/fencing/fence.ts'
import type { GivenPart } from '../api.ts'
import type { Allocation } from '../resource-record.ts'

/** What a program has been given, as it stands. */
export interface Holding {
  readonly id: string
  readonly task: string | undefined
  readonly parts: readonly GivenPart[]
  readonly fence: Fence
  readonly signal: AbortSignal
}

interface Open {
  readonly id: string
  /** Of the task that it was asked for, if it was for one. */
  readonly task: string | undefined
  /** Of the decision that took it over; undefined: it is on its way. */
  version: number | undefined
  /** The newest that was told of its id: until it is taken over, maybe of an allocation that had the same id before. */
  told: { readonly allocation: Allocation | undefined; readonly version: number } | undefined
  readonly end: AbortController
  /** Once it is granted. */
  holding: Holding | undefined
  /** Somebody who asked has been given it. */
  isTaken: boolean
  /** Why it was not. */
  failure: ParleyError | undefined
  readonly waiting: Set<() => void>
}

export const resourceIds = (units: Readonly<Record<string, number>>, owner: string): string[] =>
  Object.keys(units).map((name) => `${name}@${owner}`)

const givenParts = ({ parts, places = [] }: Allocation): GivenPart[] =>
  places.map(({ owner }, i) => {
    const units = parts[i]?.units ?? {}
    return { owner, units, resourceIds: resourceIds(units, owner) }
  })

const deniedFor = (id: string, why: string): ParleyError =>
  new ParleyError('COM003', `the allocation ${id} was denied: ${why}`, {
    hint:
      why === 'no-such-capacity'
        ? 'no node has as much, even if it gave nothing else: ask for less, or start one that has'
        : 'wait until others release what they have, or ask for less',
    details: { reason: 'resource-denied', allocation: id, why, retryAfterMs: 1_000 },
  })

const endedFor = (id: string, why: string): ParleyError =>
  stateError('ended', `the allocation ${id} has ended: ${why}`, 'end the work on it; ask for another one', {
    allocation: id,
  })

export class Holdings {
  readonly #open = new Map<string, Open>()
  #lost = 0

  counts(): { readonly held: number; readonly lost: number } {
    let held = 0
    for (const { holding } of this.#open.values()) if (holding !== undefined) held += 1
    return { held, lost: this.#lost }
  }

  has(id: string): boolean {
    return this.#open.has(id)
  }

  /** What has this id now. */
  find(id: string): Open | undefined {
    return this.#open.get(id)
  }

  /** Those that were asked for a task, with the ids of what was given. */
  of(task: string): { readonly id: string; readonly resources: readonly string[] }[] {
    return [...this.#open].flatMap(([id, { task: own, holding }]) =>
      own === task ? [{ id, resources: holding?.parts.flatMap((part) => part.resourceIds) ?? [] }] : [],
    )
  }

  /** From here on it hears of it. */
  expect(id: string, task?: string): Open {
    const known = this.#open.get(id)
    if (known !== undefined) return known
    const end = new AbortController()
    const nothing = { version: undefined, told: undefined, holding: undefined, failure: undefined }
    const open: Open = { id, task, end, ...nothing, isTaken: false, waiting: new Set() }
    this.#open.set(id, open)
    return open
  }

  /** It was taken over by this decision. Where several asked for it, by the first of theirs. */
  asked(open: Open, version: number): void {
    open.version = Math.min(version, open.version ?? version)
    this.#follow(open)
  }

  /** Whoever asked has it now. */
  take(id: string): void {
    const open = this.#open.get(id)
    if (open !== undefined) open.isTaken = true
  }

  isTaken(id: string): boolean {
    return this.#open.get(id)?.isTaken === true
  }

  /** @param signal of an allocation @returns whether another one has its id now */
  isReplaced(id: string, signal: AbortSignal): boolean {
    const open = this.#open.get(id)
    return open !== undefined && open.end.signal !== signal
  }

  /** It was not asked for after all, or is released: it alone ends, and not another one that has its id by now. */
  drop(open: Open, why: string): void {
    if (this.#open.get(open.id) !== open) return
    this.#open.delete(open.id)
    open.failure ??= endedFor(open.id, why)
    open.end.abort(open.failure)
    for (const look of [...open.waiting]) look()
  }

  /** @param version of the journal that it is told as of */
  onTold(id: string, allocation: Allocation | undefined, version: number): void {
    const open = this.#open.get(id)
    if (open === undefined || allocation?.status === 'waiting') return
    if (open.told !== undefined && version < open.told.version) return
    open.told = { allocation, version }
    this.#follow(open)
  }

  /** Acts on what was told of its id, unless that is older than it: then it is of an allocation that had the same id before. */
  #follow(open: Open): void {
    const { id, told, version, end } = open
    const isOwn = told !== undefined && version !== undefined && told.version >= version
    if (!isOwn || this.#open.get(id) !== open) return
    const { allocation } = told
    if (allocation?.status === 'allocated' && allocation.fence !== undefined) {
      const { task, fence } = allocation
      open.holding ??= { id, task, fence, parts: givenParts(allocation), signal: end.signal }
      for (const look of [...open.waiting]) look()
      return
    }
    const why = allocation?.reason ?? 'it was released'
    if (allocation?.status === 'denied') open.failure = deniedFor(id, why)
    else if (open.holding !== undefined) this.#lost += 1
    this.drop(open, why)
  }

  /** All there was at this version was told. */
  onReset(ids: ReadonlySet<string>, at: number): void {
    for (const id of [...this.#open.keys()]) if (!ids.has(id)) this.onTold(id, undefined, at)
  }

  endAll(why: string): void {
    for (const open of [...this.#open.values()]) {
      if (open.holding !== undefined) this.#lost += 1
      this.drop(open, why)
    }
  }

  /** Resolves once it is granted. @throws COM003 `resource-denied`; STA003 `ended` */
  granted(id: string, signal: AbortSignal | undefined): Promise<Holding> {
    const open = this.#open.get(id)
    if (open === undefined) return Promise.reject(endedFor(id, 'it was released'))
    return waitFor<Holding>(signal, (resolve, reject) => {
      const look = (): void => {
        if (open.failure !== undefined) reject(open.failure)
        else if (open.holding !== undefined) resolve(open.holding)
      }
      open.waiting.add(look)
      look()
      return () => open.waiting.delete(look)
    })
  }
}
