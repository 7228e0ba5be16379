/**
 * What holds of resources at every index of the journal: no node gives more than it has, what nodes say that they gave is what
 * allocations have, whole gangs only. State: when each allocation ended, as far as it was seen.
 */
import type { JournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import {
  ALLOCATION_PREFIX,
  type Allocation,
  isOpen,
  NODE_PREFIX,
  type NodeRecord,
} from '../../../protocols/resource/resource-record.ts'
import { amountOf, NONE, plus, type Units } from '../../../protocols/resource/units.ts'

export interface Seen {
  readonly nodes: ReadonlyMap<string, NodeRecord>
  readonly allocations: ReadonlyMap<string, Allocation>
}

export const readAll = ({ records }: Pick<JournalMachine, 'records'>): Seen => {
  const nodes = new Map<string, NodeRecord>()
  const allocations = new Map<string, Allocation>()
  for (const { key, value } of records.all()) {
    if (key.startsWith(NODE_PREFIX)) nodes.set(key.slice(NODE_PREFIX.length), value as unknown as NodeRecord)
    else if (key.startsWith(ALLOCATION_PREFIX))
      allocations.set(key.slice(ALLOCATION_PREFIX.length), value as unknown as Allocation)
  }
  return { nodes, allocations }
}

/** @returns what is wrong */
export const wrongState = ({ nodes, allocations }: Seen): string | undefined => {
  const used = new Map<string, Units>()
  for (const [id, { status, places, parts, fence }] of allocations) {
    if ((status === 'allocated') !== (fence !== undefined)) return `${id} is ${status}, with the fence ${fence?.index}`
    if (fence === undefined) continue
    if (places?.length !== parts.length) return `${id} has a part of what it asked for`
    for (const [i, { owner, registration }] of places.entries()) {
      if (nodes.get(owner)?.registration !== registration) return `${id} rests on a life of ${owner} that is over`
      used.set(owner, plus(used.get(owner) ?? NONE, parts[i]?.units ?? NONE))
    }
  }
  for (const [peer, node] of nodes) {
    const given = used.get(peer) ?? NONE
    for (const name of new Set([...Object.keys(given), ...Object.keys(node.used)])) {
      if (amountOf(given, name) !== amountOf(node.used, name))
        return `${peer} says that ${amountOf(node.used, name)} ${name} are used, and ${amountOf(given, name)} are`
      if (amountOf(given, name) > amountOf(node.capacity, name))
        return `${peer} gave ${amountOf(given, name)} ${name} of ${amountOf(node.capacity, name)}`
    }
  }
  return undefined
}

/** Tells one grant from another. */
export const grantOf = (id: string, { fence }: Pick<Allocation, 'fence'>): string =>
  `${id} ${fence?.term}.${fence?.index}`

export class ResourceObserver {
  readonly #granted = new Set<string>()
  /** When it was first seen that a grant is over; virtual milliseconds. */
  readonly endedAt = new Map<string, number>()
  /** When it was first seen that a life of a node is over, by `<peer> <registration>`; virtual milliseconds. */
  readonly overAt = new Map<string, number>()
  readonly counts = { granted: 0, gangs: 0, denied: 0, expired: 0, preempted: 0 }
  /** Lives of nodes on which a grant rests. */
  readonly #restsOn = new Map<string, readonly string[]>()
  readonly #lives = new Map<string, string>()
  readonly #ends = new Set<string>()
  readonly #watched = new WeakSet<JournalMachine>()
  #version = 0

  /** From now on each of its steps is looked at. */
  watch(machine: JournalMachine, now: () => number, tell: (problem: string) => void): void {
    if (this.#watched.has(machine)) return
    this.#watched.add(machine)
    machine.onApplied(() => {
      if (machine.version() <= this.#version) return
      this.#version = machine.version()
      const seen = readAll(machine)
      const wrong = wrongState(seen)
      if (wrong !== undefined) tell(`at ${machine.version()}: ${wrong}`)
      this.#note(seen, now())
    })
  }

  /** Milliseconds since when a grant is over by the lease of this node alone; undefined: it is not. */
  overFor(grant: string, peer: string, now: number): number | undefined {
    const life = this.#restsOn.get(grant)?.find((one) => one.startsWith(`${peer} `))
    const at = this.overAt.get(life ?? '')
    return at === undefined ? undefined : now - at
  }

  #noteLives({ nodes }: Seen, now: number): void {
    const over = (life: string): void => void (this.overAt.has(life) || this.overAt.set(life, now))
    for (const [peer, { registration, isOver }] of nodes) {
      const life = `${peer} ${registration}`
      const before = this.#lives.get(peer)
      if (before !== undefined && before !== life) over(before)
      if (isOver === true) over(life)
      this.#lives.set(peer, life)
    }
    for (const [peer, life] of this.#lives) if (!nodes.has(peer)) over(life)
  }

  #note(seen: Seen, now: number): void {
    this.#noteLives(seen, now)
    const { allocations } = seen
    const granted = new Set<string>()
    for (const [id, one] of allocations) {
      const { status } = one
      if (status === 'allocated') {
        granted.add(grantOf(id, one))
        if (this.#granted.has(grantOf(id, one))) continue
        this.#granted.add(grantOf(id, one))
        this.counts.granted += 1
        const { holder, registration, places = [] } = one
        const lives = [{ owner: holder, registration }, ...places].map(
          (place) => `${place.owner} ${place.registration}`,
        )
        this.#restsOn.set(grantOf(id, one), lives)
        if (one.parts.length > 1) this.counts.gangs += 1
      } else if (status !== 'waiting' && !this.#ends.has(id)) {
        this.#ends.add(id)
        this.counts[status] += 1
      }
    }
    for (const grant of this.#granted) if (!granted.has(grant) && !this.endedAt.has(grant)) this.endedAt.set(grant, now)
  }
}

export const openOnes = ({ allocations }: Seen): string[] =>
  [...allocations].flatMap(([id, one]) => (isOpen(one) ? [`${id} ${one.status}`] : []))
