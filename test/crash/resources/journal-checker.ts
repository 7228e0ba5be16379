/**
 * Reads the log of a voter as it lies on its disk, and adds up for itself what nodes have given: with rules of its own, of which
 * none is the product's. After each entry the product's state has to be the same, and nobody in it gives more than it has.
 * State: nodes, allocations, epochs.
 */
import { knownKinds } from '../../../protocols/journal/part-kinds.ts'
import { createJournalMachine } from '../../../protocols/journal/state/journal-machine.ts'
import { resourceJournal } from '../../../protocols/resource/journal/resource-kinds.ts'
import { RESOURCES_PART } from '../../../protocols/resource/resource-record.ts'
import { taskJournal } from '../../../protocols/task/journal/task-kinds.ts'
import { TASKS_PART } from '../../../protocols/task/task-record.ts'
import { readAll, type Seen, wrongState } from '../../sim/resources/observer.ts'
import { decidedIn, type LogEntry } from '../disk/decided-log.ts'

type Amounts = Readonly<Record<string, number>>
interface Change {
  readonly do: string
  readonly id: string
  readonly peer: string
  readonly epoch: number
  readonly incarnation: number
  readonly registration: number
  readonly capacity: Amounts
  readonly draining?: boolean
  readonly units: Amounts
  readonly ask: {
    readonly priority: number
    readonly parts: readonly { readonly units: Amounts; readonly owner?: string }[]
    readonly spread?: boolean
    readonly preemptible?: boolean
    readonly preempts?: boolean
  }
  readonly places: readonly { readonly owner: string; readonly registration: number }[]
  readonly victims?: readonly { readonly id: string; readonly fence: { readonly index: number } }[]
  readonly ids: readonly string[]
  readonly priority: number
}
interface Command {
  readonly kind: string
  readonly session: number
  readonly serial: number
  readonly by: string
  readonly input: { readonly leader?: string; readonly changes?: readonly Change[] }
}
interface NodeLife {
  readonly registration: number
  readonly incarnation: number
  readonly capacity: Amounts
  readonly isDraining: boolean
  isOver: boolean
}
interface Held {
  readonly holder: string
  readonly registration: number
  readonly ask: Change['ask']
  readonly isOfTask: boolean
  /** Where each part is; undefined: it waits, or is over. */
  places: Change['places'] | undefined
  grantedAt: number
  isWaiting: boolean
}

export interface Checked {
  readonly entries: number
  readonly grants: number
  readonly refused: number
  readonly expired: number
  readonly wrong: readonly string[]
  /** That wait or are granted at the end. */
  readonly open: readonly string[]
}

const add = (to: Map<string, number>, amounts: Amounts): void => {
  for (const [name, amount] of Object.entries(amounts)) to.set(name, (to.get(name) ?? 0) + amount)
}

class Books {
  readonly #nodes = new Map<string, NodeLife>()
  readonly #held = new Map<string, Held>()
  readonly #leaders = new Map<number, string>()
  readonly #done = new Set<string>()
  readonly counts = { entries: 0, grants: 0, refused: 0, expired: 0 }

  read(index: number, term: number, command: Command): void {
    const { kind, session, serial, by, input } = command
    this.counts.entries += 1
    // Asked for again, it has no effect again.
    const once = `${session}/${serial}`
    if (session > 0 && this.#done.has(once)) return
    this.#done.add(once)
    if (kind === 'coordinator.begin' && input.leader !== undefined) this.#leaders.set(term, by)
    if (!kind.startsWith('resources.')) return
    for (const change of input.changes ?? []) if (!this.#take(index, term, by, change)) this.counts.refused += 1
  }

  #isLive(peer: string, registration: number): boolean {
    const life = this.#nodes.get(peer)
    return life !== undefined && life.registration === registration && !life.isOver
  }

  #leads(term: number, by: string, epoch: number): boolean {
    return epoch === term && this.#leaders.get(term) === by
  }

  /** Of all that is granted. */
  #usedAt(peer: string, without: ReadonlySet<string> = new Set()): Map<string, number> {
    const used = new Map<string, number>()
    for (const [id, { ask, places }] of this.#held)
      for (const [i, { owner }] of without.has(id) ? [] : (places ?? []).entries())
        if (owner === peer) add(used, ask.parts[i]?.units ?? {})
    return used
  }

  /** Whether anything is held by, or granted at, a node. */
  #isBusy(peer: string): boolean {
    return [...this.#held.values()].some(
      ({ holder, isWaiting, places }) =>
        ((isWaiting || places !== undefined) && holder === peer) ||
        places?.some(({ owner }) => owner === peer) === true,
    )
  }

  #fits(ask: Change['ask'], places: Change['places'], without: ReadonlySet<string>): boolean {
    if (places.length !== ask.parts.length) return false
    if (ask.spread === true && new Set(places.map(({ owner }) => owner)).size < places.length) return false
    for (const [i, { owner, registration }] of places.entries()) {
      const wanted = ask.parts[i]?.owner
      if (!this.#isLive(owner, registration) || this.#nodes.get(owner)?.isDraining === true) return false
      if (wanted !== undefined && wanted !== owner) return false
      const used = this.#usedAt(owner, without)
      for (const [j, place] of places.entries()) if (place.owner === owner) add(used, ask.parts[j]?.units ?? {})
      const { capacity } = this.#nodes.get(owner) ?? { capacity: {} as Amounts }
      const names = Object.keys(ask.parts[i]?.units ?? {})
      if (names.some((name) => (used.get(name) ?? 0) > (capacity[name] ?? 0))) return false
    }
    return true
  }

  #end(peer: string): void {
    const life = this.#nodes.get(peer)
    if (life === undefined) return
    if (this.#isBusy(peer)) life.isOver = true
    else this.#nodes.delete(peer)
  }

  /** @returns whether it counts */
  #take(index: number, term: number, by: string, change: Change): boolean {
    const { id, epoch, registration } = change
    switch (change.do) {
      case 'register':
        return this.#register(index, by, change)
      case 'renew':
        return this.#isLive(by, registration)
      case 'withdraw':
        if (!this.#isLive(by, registration)) return false
        this.#end(by)
        return true
      case 'allocate':
        if (!this.#isLive(by, registration) || this.#held.has(id)) return this.#held.get(id)?.holder === by
        this.#held.set(id, this.#newHeld(by, registration, change.ask, false))
        return true
      case 'release':
        if (this.#held.has(id) && this.#held.get(id)?.holder !== by) return false
        this.#held.delete(id)
        return true
    }
    return this.#leads(term, by, epoch) && this.#takeOfLeader(index, change)
  }

  #newHeld(holder: string, registration: number, ask: Change['ask'], isOfTask: boolean): Held {
    return { holder, registration, ask, isOfTask, places: undefined, grantedAt: 0, isWaiting: true }
  }

  #register(index: number, by: string, { incarnation, capacity, draining = false }: Change): boolean {
    const before = this.#nodes.get(by)
    if (before !== undefined && before.incarnation > incarnation) return false
    const rest = { incarnation, capacity, isDraining: draining, isOver: false }
    if (before !== undefined && before.incarnation === incarnation && !before.isOver) {
      const used = this.#usedAt(by)
      if ([...used].some(([name, amount]) => amount > (capacity[name] ?? 0))) return false
      this.#nodes.set(by, { ...rest, registration: before.registration })
      return true
    }
    if (before !== undefined && this.#isBusy(by)) before.isOver = true
    else this.#nodes.set(by, { ...rest, registration: index })
    return true
  }

  #takeOfLeader(index: number, change: Change): boolean {
    const { id, peer, registration, places } = change
    const held = this.#held.get(id)
    switch (change.do) {
      case 'grant':
        return held !== undefined && this.#grant(index, held, change)
      case 'assign': {
        const ask = { priority: change.priority, parts: [{ units: change.units, owner: peer }] }
        const at = [{ owner: peer, registration }]
        if (held !== undefined || !this.#isLive(peer, registration) || !this.#fits(ask, at, new Set())) return false
        const assigned = this.#newHeld(peer, registration, ask, true)
        this.#held.set(id, assigned)
        this.#give(index, assigned, at)
        return true
      }
      case 'unassign':
        if (held?.isOfTask === false) return false
        this.#held.delete(id)
        return true
      case 'deny':
        if (held?.isWaiting !== true) return false
        held.isWaiting = false
        return true
      case 'expire':
        return held !== undefined && this.#expire(held)
      case 'dismiss':
        if (this.#nodes.get(peer)?.registration === registration) this.#end(peer)
        return true
      case 'forget':
        for (const one of change.ids) if (this.#isForgettable(one)) this.#held.delete(one)
        return true
    }
    return places === undefined
  }

  #isForgettable(id: string): boolean {
    const held = this.#held.get(id)
    return held !== undefined && !held.isWaiting && held.places === undefined
  }

  #give(index: number, held: Held, places: Change['places']): void {
    held.places = places
    held.grantedAt = index
    held.isWaiting = false
    this.counts.grants += 1
  }

  #grant(index: number, held: Held, { places, victims = [] }: Change): boolean {
    if (!held.isWaiting || !this.#isLive(held.holder, held.registration)) return false
    const ended = new Set(victims.map((one) => one.id))
    for (const { id, fence } of victims) {
      const victim = this.#held.get(id)
      const mayEnd = victim?.ask.preemptible === true && victim.ask.priority < held.ask.priority
      if (victim?.places === undefined || victim.grantedAt !== fence.index || !mayEnd) return false
    }
    if (victims.length > 0 && held.ask.preempts !== true) return false
    if (!this.#fits(held.ask, places, ended)) return false
    // Nobody is ended for nothing.
    const isInTheWay = (id: string): boolean =>
      !this.#fits(held.ask, places, new Set([...ended].filter((one) => one !== id)))
    if (![...ended].every(isInTheWay)) return false
    for (const id of ended) {
      const victim = this.#held.get(id)
      if (victim !== undefined) victim.places = undefined
    }
    this.#give(index, held, places)
    return true
  }

  #expire(held: Held): boolean {
    const rests = [{ owner: held.holder, registration: held.registration }, ...(held.places ?? [])]
    const isOpen = held.isWaiting || held.places !== undefined
    if (!isOpen || rests.every(({ owner, registration }) => this.#isLive(owner, registration))) return false
    held.isWaiting = false
    held.places = undefined
    this.counts.expired += 1
    return true
  }

  /** @returns how the product's state differs */
  differs({ nodes, allocations }: Seen): string | undefined {
    const granted = (status: string): boolean => status === 'allocated'
    for (const [id, { places, isWaiting }] of this.#held) {
      const status = allocations.get(id)?.status ?? 'gone'
      if (granted(status) !== (places !== undefined) || (status === 'waiting') !== isWaiting)
        return `${id} is ${status}, and ought to be ${isWaiting ? 'waiting' : places === undefined ? 'over' : 'granted'}`
    }
    for (const id of allocations.keys()) if (!this.#held.has(id)) return `${id} ought to be gone`
    for (const [peer, { registration, used }] of nodes) {
      if (this.#nodes.get(peer)?.registration !== registration) return `${peer} is in another life`
      const own = JSON.stringify([...this.#usedAt(peer)].filter(([, amount]) => amount > 0).sort())
      if (own !== JSON.stringify(Object.entries(used).sort())) return `${peer} ought to have given ${own}`
    }
    return nodes.size === this.#nodes.size ? undefined : `${nodes.size} nodes are there, and not ${this.#nodes.size}`
  }

  /** That wait, or are granted. */
  open(): string[] {
    const open = [...this.#held].filter(([, { isWaiting, places }]) => isWaiting || places !== undefined)
    return open.map(([id]) => id)
  }
}

/** What applied the entries: the product's state machine. */
export interface Product {
  apply(data: Uint8Array, at: { readonly term: number; readonly index: number }): Promise<void>
  state(): Seen
}

const DECODER = new TextDecoder()
const MOST_TOLD = 3

export const checkEntries = async (entries: Iterable<LogEntry>, product: Product): Promise<Checked> => {
  const books = new Books()
  const wrong: string[] = []
  for (const { index, term, data } of entries) {
    const command = JSON.parse(DECODER.decode(data)) as Command
    books.read(index, term, command)
    await product.apply(data, { term, index })
    if (!command.kind.startsWith('resources.')) continue
    const state = product.state()
    const found = wrongState(state) ?? books.differs(state)
    if (found !== undefined) wrong.push(`at ${index}: ${found}`)
    if (wrong.length >= MOST_TOLD) break
  }
  return { ...books.counts, wrong, open: books.open() }
}

export const createProduct = (): Product => {
  const parts = [
    { ...resourceJournal, name: RESOURCES_PART },
    { ...taskJournal, name: TASKS_PART },
  ]
  const bugs = (kind: string, error: unknown): never => {
    throw new Error(`${kind} failed`, { cause: error })
  }
  const machine = createJournalMachine(knownKinds([], parts), bugs)
  return {
    async apply(data, at) {
      await machine.prepare?.([{ kind: 'command', data }])
      machine.apply(data, at)
    },
    state: () => readAll(machine),
  }
}

/** @param folder of the journal of a voter that does not run, and that kept all of its log */
export const checkJournal = async (folder: string): Promise<Checked> =>
  checkEntries(await decidedIn(folder), createProduct())
