/**
 * One simulated process with its disk: carries out what the core asks for, and may die between any two writes.
 *
 * State: the disk, which survives; the core and the state machine, which do not.
 */

import {
  createRaft,
  type Raft,
  type RaftInput,
  type RaftOutput,
  type RaftSettings,
  type RaftStatus,
} from '../../../protocols/consensus/raft/raft.ts'
import { RaftLog } from '../../../protocols/consensus/raft/raft-log.ts'
import type {
  AddressedMessage,
  Entry,
  HardState,
  SnapshotMeta,
} from '../../../protocols/consensus/raft/raft-messages.ts'
import { type Invariants, Violation } from './invariants.ts'
import { applyCommand, type Command, copyOf, decodeCommand, emptyMachine, type Machine } from './machine.ts'

export interface Snapshot {
  readonly meta: SnapshotMeta
  readonly machine: Machine
}

interface Disk {
  hard: HardState
  snapshot: Snapshot | undefined
  entries: Entry[]
}

/** Writes that a process still makes before it dies; undefined: it lives. */
type Budget = { writes: number } | undefined

class Death extends Error {}

export interface MemberEvents {
  send(from: string, addressed: AddressedMessage, snapshot: Snapshot | undefined): void
  applied(id: string, command: Command, index: number, machine: Machine): void
  answered(readId: number, index: number): void
  /** What a read waited for is applied. */
  readable(readId: number, machine: Machine): void
}

/** Reads that wait for entries; more are not answered. */
const MAX_READS = 256

const NOBODY = { voters: [], learners: [] }

export class Member {
  readonly id: string
  raft: Raft | undefined
  machine: Machine = emptyMachine()
  /** It stands still until then. */
  frozenUntil = 0
  readonly #disk: Disk
  readonly #invariants: Invariants
  readonly #events: MemberEvents
  readonly #random: () => number
  readonly #settings: Partial<RaftSettings>
  #reads: { readonly id: number; readonly index: number }[] = []
  /** Contents of the snapshot that the message of this step carries. */
  #arriving: Snapshot | undefined

  constructor(
    id: string,
    founding: readonly Entry[],
    invariants: Invariants,
    events: MemberEvents,
    random: () => number,
    settings: Partial<RaftSettings>,
  ) {
    this.id = id
    this.#settings = settings
    this.#disk = {
      hard: { term: founding.at(-1)?.term ?? 0, votedFor: undefined, commit: founding.length },
      snapshot: undefined,
      entries: [...founding],
    }
    this.#invariants = invariants
    this.#events = events
    this.#random = random
  }

  get isUp(): boolean {
    return this.raft !== undefined
  }

  start(): void {
    const { hard, snapshot, entries } = this.#disk
    const log = new RaftLog(snapshot?.meta ?? { index: 0, term: 0 }, entries)
    this.machine = snapshot === undefined ? emptyMachine() : copyOf(snapshot.machine)
    this.#reads = []
    this.#invariants.reborn(this.id)
    const configuration = snapshot?.meta.configuration ?? NOBODY
    this.raft = createRaft({ self: this.id, hardState: hard, configuration, log }, this.#random, this.#settings)
    // What the disk says is committed is applied again.
    this.step(undefined)
  }

  crash(): void {
    this.raft = undefined
  }

  /** @param budget where it dies on the way */
  step(budget: Budget, snapshot?: Snapshot, ...inputs: readonly RaftInput[]): RaftOutput | undefined {
    const { raft } = this
    if (raft === undefined) return undefined
    const before = raft.status()
    const output = raft.step(...inputs)
    this.#arriving = snapshot
    try {
      this.#carryOut(output, budget)
    } catch (error) {
      if (!(error instanceof Death)) throw error
      this.crash()
      return undefined
    }
    const now = raft.status()
    this.#isAsOnDisk(now)
    this.#invariants.moves(this.id, now.term, now.commit)
    if (now.commit > before.commit) this.#invariants.configured(this.id, now.commit, raft.configurationAt(now.commit))
    if (now.role === 'leader' && (before.role !== 'leader' || before.term !== now.term))
      this.#invariants.leads(this.id, now.term, raft.termAt, now.baseIndex)
    return output
  }

  /** What the core believes to have is what a restart would find. */
  #isAsOnDisk({ lastIndex, lastTerm }: RaftStatus): void {
    const last = this.#disk.entries.at(-1) ?? this.#disk.snapshot?.meta ?? { index: 0, term: 0 }
    if (last.index !== lastIndex || last.term !== lastTerm)
      throw new Violation(
        `${this.id} believes to have ${lastIndex}/${lastTerm}, on its disk is ${last.index}/${last.term}`,
      )
  }

  /** All that is applied goes into a snapshot, and out of the log. */
  compact(): boolean {
    const { raft, machine } = this
    const index = machine.applied
    const term = raft?.termAt(index)
    if (raft === undefined || term === undefined || index <= raft.status().baseIndex) return false
    const meta = { index, term, configuration: raft.configurationAt(index) }
    this.#disk.snapshot = { meta, machine: copyOf(machine) }
    this.#disk.entries = this.#disk.entries.filter((entry) => entry.index > index)
    raft.compact(index)
    return true
  }

  #write(budget: Budget): void {
    if (budget === undefined) return
    if (budget.writes <= 0) throw new Death()
    budget.writes -= 1
  }

  #carryOut(output: RaftOutput, budget: Budget): void {
    const disk = this.#disk
    const [contradiction] = output.contradictions
    if (contradiction !== undefined)
      throw new Violation(`${this.id} is told by ${contradiction.from} what contradicts its log: ${contradiction.what}`)
    if (output.hardState !== undefined) {
      this.#write(budget)
      disk.hard = output.hardState
    }
    if (output.snapshot !== undefined) {
      this.#write(budget)
      const contents = this.#arriving
      if (contents?.meta.index !== output.snapshot.index) throw new Error('a snapshot without its contents')
      disk.snapshot = { meta: output.snapshot, machine: copyOf(contents.machine) }
      disk.entries = []
      this.machine = copyOf(contents.machine)
    }
    this.#append(output.entries, budget)
    // Everything is on the disk, and nobody was told.
    this.#write(budget)
    for (const entry of output.committed) this.#apply(entry)
    for (const { id, index } of output.reads) {
      this.#events.answered(id, index)
      if (index > 0 && this.#reads.length < MAX_READS) this.#reads.push({ id, index })
    }
    this.#answerReads()
    for (const addressed of output.messages) {
      this.#write(budget)
      this.#events.send(this.id, addressed, addressed.message.type === 'snapshot' ? disk.snapshot : undefined)
    }
  }

  #answerReads(): void {
    const { applied } = this.machine
    if (!this.#reads.some(({ index }) => index <= applied)) return
    for (const { id, index } of this.#reads) if (index <= applied) this.#events.readable(id, this.machine)
    this.#reads = this.#reads.filter(({ index }) => index > applied)
  }

  /** One by one: the last of them may be torn, and is not there then. */
  #append(entries: readonly Entry[], budget: Budget): void {
    const disk = this.#disk
    const [first] = entries
    if (first === undefined) return
    this.#write(budget)
    disk.entries = disk.entries.filter((entry) => entry.index < first.index)
    const before = disk.entries.at(-1) ?? disk.snapshot?.meta
    const termBefore = first.index === 1 ? 0 : before?.index === first.index - 1 ? before.term : undefined
    this.#invariants.wrote(this.id, entries, termBefore)
    for (const entry of entries) {
      this.#write(budget)
      disk.entries.push(entry)
    }
  }

  #apply(entry: Entry): void {
    this.#invariants.committed(this.id, entry, this.raft?.status().term ?? 0)
    if (entry.index !== this.machine.applied + 1)
      throw new Error(`${this.id} applies ${entry.index} after ${this.machine.applied}`)
    this.machine.applied = entry.index
    if (entry.kind !== 'command') return
    const command = decodeCommand(entry.data)
    const isEffect = applyCommand(this.machine, command)
    if (isEffect) this.#invariants.effect(this.id, command, entry.index)
    this.#events.applied(this.id, command, entry.index, this.machine)
  }
}
