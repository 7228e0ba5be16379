/**
 * The driver of one member: puts what comes into the Raft core, and carries out what the core asks for.
 *
 * What comes while the disk is busy waits, and goes into the core as one step: many commands share one write and one sync.
 * Nothing leaves this node before what it rests on is durable; a leader's entries, which rest on nothing but its term,
 * leave while it writes them itself. A disk without room stops this member, not the group: its clock stands still, so that
 * others elect another leader, and it goes on once the same write succeeds.
 *
 * State: inputs that wait, proposals and reads that are pending, how far was applied. All of it bounded.
 */
import { delay } from '../../async.ts'
import { isParleyError, type ParleyError, stateError } from '../../errors.ts'
import type { Port } from '../../port.ts'
import { raftProtocol } from '../contract.ts'
import { peerOf } from '../member-id.ts'
import type { Raft, RaftInput, RaftOutput } from '../raft/raft.ts'
import { encodeRaftPacket } from '../raft/raft-codec.ts'
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  type RaftMessage,
  type SnapshotMeta,
} from '../raft/raft-messages.ts'
import type { Contradiction } from '../raft/raft-state.ts'
import { type AppendCoalescer, createAppendCoalescer } from './append-coalescing.ts'
import { applyEntries } from './apply-entries.ts'
import type { RaftGroupCounts, RaftGroupDeps, SenderRejectionCounts } from './group-api.ts'
import type { LogChange } from './group-storage.ts'
import { canSendBeforeWrite, mergeAppends, mergeOutputs } from './output-batching.ts'
import { createPendingProposals, type ProposalWaiter, unknownOutcome } from './pending-proposals.ts'
import { Snapshotting } from './snapshotting.ts'

const MAX_INPUTS = 8_192
const DISK_AGAIN_MS = 500

/** What somebody here wants in the log. */
type Proposal = { readonly command: Uint8Array } | { readonly configuration: Configuration }
type WaitingProposal = ProposalWaiter & Proposal

export interface RaftDriverDeps extends Omit<RaftGroupDeps, 'port' | 'proven'> {
  readonly port: Pick<Port, 'clock' | 'timers' | 'log' | 'to'>
  readonly raft: Raft
  readonly group: string
  /** This member's id. */
  readonly self: string
  readonly snapshotEvery: number
  /** What the core found that cannot be true. */
  onContradictions(all: readonly Contradiction[]): void
  /** It can go on no more. */
  onFailure(error: unknown): void
}

export class RaftDriver {
  readonly #deps: RaftDriverDeps
  readonly #pending = createPendingProposals()
  readonly #appends: AppendCoalescer
  readonly #snapshots: Snapshotting
  readonly #counts = { steps: 0, proposed: 0, sent: 0, unsent: 0, snapshots: 0, restored: 0, dropped: 0 }
  readonly #start = (): Promise<void> => this.#run()
  #applied: number
  #inputs: RaftInput[] = []
  /** Proposals that have no place in the log yet. */
  #asked: WaitingProposal[] = []
  #running: Promise<void> | undefined
  #stopped = false
  /** Why nothing can be written now. */
  #stalled: ParleyError | undefined

  constructor(deps: RaftDriverDeps) {
    const { port, storage, machine, raft, group, self, snapshotEvery } = deps
    this.#deps = deps
    this.#applied = storage.opened.snapshot?.index ?? 0
    this.#appends = createAppendCoalescer(port.timers, (to, message) => this.#send(to, message))
    this.#snapshots = new Snapshotting({
      port,
      storage,
      machine,
      raft,
      group,
      self,
      everyEntries: snapshotEvery,
      restedOn: storage.opened.snapshot,
      applied: () => this.#applied,
      enqueue: (input) => this.enqueue(input),
      wake: () => this.#wake(),
      persist: (change) => this.#persist(change),
      onTaken: () => {
        this.#counts.snapshots += 1
      },
    })
  }

  get snapshots(): Pick<Snapshotting, 'receive' | 'read'> {
    return this.#snapshots
  }

  get applied(): number {
    return this.#applied
  }

  counts(): Omit<RaftGroupCounts, keyof SenderRejectionCounts | 'contradictions'> {
    return this.#counts
  }

  /** @returns whether the core will see it */
  enqueue(input: RaftInput): boolean {
    if (this.#stopped || this.#inputs.length >= MAX_INPUTS) {
      this.#counts.dropped += 1
      return false
    }
    this.#inputs.push(input)
    this.#wake()
    return true
  }

  /** Resolves with what the state machine said, once it was committed and applied. Throws as `RaftGroup.propose` does. */
  propose(what: Proposal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const refusal = this.#stopped
        ? unknownOutcome()
        : (this.#stalled ?? this.#snapshots.refusal() ?? this.#pending.full(this.#asked.length))
      if (refusal !== undefined) {
        reject(refusal)
        return
      }
      this.#counts.proposed += 1
      this.#asked.push({ ...what, resolve, reject })
      this.#wake()
    })
  }

  /** Resolves with the index from which on a read is up to date, once it was applied. */
  readable(signal: AbortSignal | undefined): Promise<number> {
    if (this.#stopped) return Promise.reject(unknownOutcome())
    return this.#pending.read((id) => this.enqueue({ type: 'read', id }), signal)
  }

  /** @param isMember who is no member has no part in elections; it waits to be made one */
  tick(isMember: () => boolean): void {
    // A disk that is busy makes no ticks pile up: the clock of this member stands still meanwhile.
    if (this.#running !== undefined && this.#inputs.some(({ type }) => type === 'tick')) return
    if (isMember()) this.enqueue({ type: 'tick' })
    for (const id of this.#pending.due()) this.enqueue({ type: 'read', id })
  }

  /** Resolves once nothing is being carried out. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Nothing begins any more; whoever waits is told that nobody knows what becomes of it. */
  close(): void {
    this.#stopped = true
    this.#appends.stop()
    this.#snapshots.close()
    for (const { reject } of this.#asked.splice(0)) reject(unknownOutcome())
    this.#pending.end(unknownOutcome)
  }

  #wake(): void {
    this.#running ??= Promise.resolve().then(this.#start)
  }

  async #run(): Promise<void> {
    const { raft, onStatus } = this.#deps
    const snapshots = this.#snapshots
    try {
      while (!this.#stopped && (this.#inputs.length > 0 || this.#asked.length > 0 || snapshots.isDue)) {
        const [inputs, proposals] = [this.#inputs, this.#asked]
        this.#inputs = []
        this.#asked = []
        this.#counts.steps += 1
        for (const output of mergeOutputs([raft.step(...inputs), ...this.#enter(proposals)]))
          await this.#carryOut(output)
        snapshots.onProcessed(inputs)
        await snapshots.compact()
        onStatus?.(raft.status())
        snapshots.saveLater()
      }
    } catch (error) {
      this.#deps.onFailure(error)
    } finally {
      this.#running = undefined
    }
  }

  async #carryOut(output: RaftOutput): Promise<void> {
    const { hardState, snapshot, entries, committed } = output
    const leaving = mergeAppends(output.messages)
    const early = leaving.filter((addressed) => canSendBeforeWrite(output, addressed))
    for (const addressed of early) this.#appends.send(addressed)
    if (hardState !== undefined || snapshot !== undefined || entries.length > 0) {
      const base = snapshot && { meta: snapshot, keeps: false }
      if (!(await this.#persist({ hardState, base, entries }))) return
    }
    if (snapshot !== undefined) {
      await this.#restore(snapshot)
      await this.#snapshots.removeObsolete(snapshot)
    }
    await applyEntries(this.#deps, committed, (entry) => this.#apply(entry))
    for (const { id, index } of output.reads) this.#pending.answered(id, index)
    this.#pending.applied(this.#applied)
    this.#deps.onContradictions(output.contradictions)
    // Behind what was applied: meanwhile more gathers for the next step, which costs less than two of them.
    for (const addressed of leaving) if (!early.includes(addressed)) this.#appends.send(addressed)
  }

  #send(to: string, message: RaftMessage): void {
    const { port, group, self } = this.#deps
    this.#counts.sent += 1
    // What is lost is sent again by the algorithm.
    port
      .to(peerOf(to), raftProtocol)
      .step(encodeRaftPacket({ group, from: self, to, message }))
      .catch(() => {
        this.#counts.unsent += 1
        if (message.type === 'snapshot') this.enqueue({ type: 'snapshot-failed', to })
      })
  }

  /** The disk may have no room for a while: the same again, until it has, or this member stops. */
  async #persist(change: LogChange): Promise<boolean> {
    const { port, storage } = this.#deps
    for (let isFirst = true; !this.#stopped; isFirst = false) {
      try {
        await storage.write(change)
        if (!isFirst) this.#stall(undefined)
        return true
      } catch (error) {
        if (!isParleyError(error) || error.details.reason !== 'disk-full') throw error
        if (isFirst) {
          port.log.error('the log of the coordinator group has no room; this member stands still', { error })
          this.#stall(error)
        }
        await delay(port.timers, DISK_AGAIN_MS)
      }
    }
    return false
  }

  /** What came while the disk has no room is refused, and may be asked of another leader. */
  #stall(problem: ParleyError | undefined): void {
    this.#stalled = problem
    if (problem !== undefined) for (const { reject } of this.#asked.splice(0)) reject(problem)
    this.#deps.onStall?.(problem)
  }

  #apply(entry: Entry): void {
    const { machine, onConfiguration } = this.#deps
    const value =
      entry.kind === 'command' ? machine.apply(entry.data, { index: entry.index, term: entry.term }) : undefined
    if (entry.kind === 'configuration') onConfiguration?.(decodeConfiguration(entry.data), entry, true)
    this.#applied = entry.index
    this.#snapshots.onApplied(entry.data.length)
    this.#pending.decided(entry, value)
  }

  async #restore(meta: SnapshotMeta): Promise<void> {
    const { machine, storage } = this.#deps
    await machine.restore(await storage.readSnapshot(meta))
    this.#snapshots.onRestored(meta)
    this.#applied = meta.index
    this.#deps.onConfiguration?.(meta.configuration, meta, false)
    this.#counts.restored += 1
    this.#pending.skipped(meta.index)
  }

  /** All commands in one step; a change of the members in one of its own, as the core takes one at a time. */
  #enter(proposals: readonly WaitingProposal[]): RaftOutput[] {
    const outputs: RaftOutput[] = []
    const commands = proposals.filter((one) => 'command' in one)
    if (commands.length > 0) {
      const input: RaftInput = { type: 'propose', commands: commands.map(({ command }) => command) }
      outputs.push(this.#enterStep(input, commands))
    }
    for (const one of proposals)
      if ('configuration' in one)
        outputs.push(this.#enterStep({ type: 'change', configuration: one.configuration }, [one]))
    return outputs
  }

  #enterStep(input: RaftInput, askers: readonly ProposalWaiter[]): RaftOutput {
    const output = this.#deps.raft.step(input)
    const { proposed } = output
    for (const [i, asker] of askers.entries()) {
      if (proposed === undefined) asker.reject(this.#notLeader())
      else this.#pending.placed(proposed.index - askers.length + 1 + i, proposed.term, asker)
    }
    return output
  }

  #notLeader(): ParleyError {
    const { raft, self } = this.#deps
    const { leader } = raft.status()
    const known = leader === undefined || leader === self ? {} : { leader }
    return stateError('not-leader', 'this node does not lead, or cannot take this now', 'ask the leader', known)
  }
}
