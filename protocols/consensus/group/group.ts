/**
 * One member of a group: carries out what the Raft core asks for, over the Port, a store and a state machine.
 *
 * What comes while the disk is busy waits, and goes into the core as one step: many commands share one write and one sync.
 * Nothing leaves this node before what it rests on is durable; a leader's entries, which rest on nothing but its term,
 * leave while it writes them itself. A disk without room stops this member, not the group:
 * its clock stands still, so that others elect another leader, and it goes on once the same write succeeds.
 *
 * State: the core, inputs that wait, promises of proposals and reads. All of them are bounded.
 */
import { isParleyError, type ParleyError, stateError } from '../../errors.ts'
import type { Stop } from '../../port.ts'
import { raftProtocol } from '../contract.ts'
import { peerOf } from '../member-id.ts'
import { isMember } from '../raft/configuration-history.ts'
import { createRaft, type RaftInput, type RaftOutput } from '../raft/raft.ts'
import { encodeRaftPacket } from '../raft/raft-codec.ts'
import { RaftLog } from '../raft/raft-log.ts'
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  encodeConfiguration,
  type RaftMessage,
  type SnapshotMeta,
} from '../raft/raft-messages.ts'
import { createAppendCoalescer } from './append-coalescing.ts'
import type { RaftGroup, RaftGroupDeps, RaftGroupOptions } from './group-api.ts'
import type { GroupStorage } from './group-storage.ts'
import { canSendBeforeWrite, mergeAppends, mergeOutputs } from './output-batching.ts'
import { createPendingProposals, type ProposalWaiter, unknownOutcome } from './pending-proposals.ts'
import { serveRaft } from './raft-server.ts'
import { createSnapshotting } from './snapshotting.ts'

const TICK_MS = 50
const SNAPSHOT_EVERY = 10_000
const MAX_INPUTS = 8_192
const DISK_AGAIN_MS = 500

/** What somebody here wants in the log. */
type Asked = ProposalWaiter & ({ readonly command: Uint8Array } | { readonly configuration: Configuration })

const NOBODY: Configuration = { voters: [], learners: [] }

/** The founders begin with the same entry, so that their logs agree. @returns the log as it is then */
const found = async (storage: GroupStorage, founders: Configuration | undefined) => {
  const { hardState, snapshot, entries } = storage.opened
  const isNew = snapshot === undefined && entries.length === 0 && hardState.term === 0
  if (!isNew || founders === undefined) return { hardState, entries }
  const first: Entry = { index: 1, term: 1, kind: 'configuration', data: encodeConfiguration(founders) }
  const founded = { hardState: { term: 1, votedFor: undefined, commit: 1 }, entries: [first] }
  await storage.write(founded)
  return founded
}

/** Resolves once it takes part. @throws what the store or the state machine says */
export const startRaftGroup = async (deps: RaftGroupDeps, options: RaftGroupOptions): Promise<RaftGroup> => {
  const { port, storage, machine } = deps
  const { group, self, tickMs = TICK_MS, snapshotEvery = SNAPSHOT_EVERY } = options
  const counts = { steps: 0, proposed: 0, sent: 0, unsent: 0, snapshots: 0, restored: 0, dropped: 0 }
  const { opened } = storage
  const random = (): number => new DataView(port.random(4).slice().buffer).getUint32(0) / 2 ** 32

  if (opened.snapshot !== undefined) {
    machine.restore((await storage.readSnapshot(opened.snapshot)).chunks)
    deps.onConfiguration?.(opened.snapshot.configuration, opened.snapshot, false)
  }
  const { hardState, entries } = await found(storage, options.founders)
  const raft = createRaft(
    {
      self,
      hardState,
      configuration: opened.snapshot?.configuration ?? NOBODY,
      log: new RaftLog(opened.snapshot ?? { index: 0, term: 0 }, entries),
    },
    random,
    options.raft,
  )

  let applied = opened.snapshot?.index ?? 0
  let inputs: RaftInput[] = []
  let asked: Asked[] = []
  const promises = createPendingProposals()
  let running: Promise<void> | undefined
  let stopped = false
  /** Why nothing can be written now. */
  let stalled: ParleyError | undefined

  const put = (input: RaftInput): boolean => {
    if (stopped || inputs.length >= MAX_INPUTS) {
      counts.dropped += 1
      return false
    }
    inputs.push(input)
    wake()
    return true
  }
  const wake = (): void => {
    running ??= Promise.resolve().then(run)
  }

  const send = (to: string, message: RaftMessage): void => {
    counts.sent += 1
    // What is lost is sent again by the algorithm.
    port
      .to(peerOf(to), raftProtocol)
      .step(encodeRaftPacket({ group, from: self, to, message }))
      .catch(() => {
        counts.unsent += 1
        if (message.type === 'snapshot') put({ type: 'snapshot-failed', to })
      })
  }

  const notices = createAppendCoalescer(port.timers, send)

  /** What came while the disk has no room is refused, and may be asked of another leader. */
  const stall = (problem: ParleyError | undefined): void => {
    stalled = problem
    if (problem !== undefined) for (const { reject } of asked.splice(0)) reject(problem)
    deps.onStall?.(problem)
  }

  /** The disk may have no room for a while: the same again, until it has, or this member stops. */
  const persist = async (change: Parameters<GroupStorage['write']>[0]): Promise<boolean> => {
    for (let isFirst = true; !stopped; isFirst = false) {
      try {
        await storage.write(change)
        if (!isFirst) stall(undefined)
        return true
      } catch (error) {
        if (!isParleyError(error) || error.details.reason !== 'disk-full') throw error
        if (isFirst) {
          port.log.error('the log of the coordinator group has no room; this member stands still', { error })
          stall(error)
        }
        await new Promise<void>((resolve) => port.timers.after(DISK_AGAIN_MS, resolve))
      }
    }
    return false
  }

  const snapshots = createSnapshotting({
    port,
    storage,
    machine,
    raft,
    group,
    self,
    everyEntries: snapshotEvery,
    applied: () => applied,
    enqueue: put,
    wake,
    persist,
    onTaken() {
      counts.snapshots += 1
    },
  })

  const apply = (entry: Entry): void => {
    const value =
      entry.kind === 'command' ? machine.apply(entry.data, { index: entry.index, term: entry.term }) : undefined
    if (entry.kind === 'configuration') deps.onConfiguration?.(decodeConfiguration(entry.data), entry, true)
    applied = entry.index
    promises.decided(entry, value)
  }

  const restore = async (meta: SnapshotMeta): Promise<void> => {
    machine.restore((await storage.readSnapshot(meta)).chunks)
    applied = meta.index
    deps.onConfiguration?.(meta.configuration, meta, false)
    counts.restored += 1
    promises.skipped(meta.index)
  }

  const carryOut = async (output: RaftOutput): Promise<void> => {
    const { hardState, snapshot, entries, committed } = output
    const leaving = mergeAppends(output.messages)
    const early = leaving.filter((addressed) => canSendBeforeWrite(output, addressed))
    for (const addressed of early) notices.send(addressed)
    if (hardState !== undefined || snapshot !== undefined || entries.length > 0) {
      const base = snapshot && { meta: snapshot, keeps: false }
      if (!(await persist({ hardState, base, entries }))) return
    }
    if (snapshot !== undefined) {
      await restore(snapshot)
      await snapshots.removeObsolete(snapshot)
    }
    for (const entry of committed) apply(entry)
    for (const { id, index } of output.reads) promises.answered(id, index)
    promises.applied(applied)
    inbound.reportContradictions(output.contradictions)
    for (const addressed of leaving) if (!early.includes(addressed)) notices.send(addressed)
  }

  const run = async (): Promise<void> => {
    try {
      while (!stopped && (inputs.length > 0 || asked.length > 0 || snapshots.isDue())) {
        const [taken, wanted] = [inputs, asked]
        inputs = []
        asked = []
        counts.steps += 1
        for (const output of mergeOutputs([raft.step(...taken), ...enter(wanted)])) await carryOut(output)
        snapshots.onProcessed(taken)
        await snapshots.compact()
        deps.onStatus?.(raft.status())
        snapshots.saveLater()
      }
    } catch (error) {
      fail(error)
    } finally {
      running = undefined
    }
  }

  const notTaken = (): ParleyError => {
    const { leader } = raft.status()
    const known = leader === undefined || leader === self ? {} : { leader }
    return stateError('not-leader', 'this node does not lead, or cannot take this now', 'ask the leader', known)
  }

  /** All commands in one step; a change of the members in one of its own, as the core takes one at a time. */
  const enter = (wanted: readonly Asked[]): RaftOutput[] => {
    const outputs: RaftOutput[] = []
    const step = (input: RaftInput, askers: readonly ProposalWaiter[]): void => {
      const output = raft.step(input)
      const { proposed } = output
      for (const [i, asker] of askers.entries()) {
        if (proposed === undefined) asker.reject(notTaken())
        else promises.placed(proposed.index - askers.length + 1 + i, proposed.term, asker)
      }
      outputs.push(output)
    }
    const commands = wanted.filter((one) => 'command' in one)
    if (commands.length > 0) step({ type: 'propose', commands: commands.map(({ command }) => command) }, commands)
    for (const one of wanted)
      if ('configuration' in one) step({ type: 'change', configuration: one.configuration }, [one])
    return outputs
  }

  const inbound = await serveRaft({ port, group, self, raft, storage, snapshots, proven: deps.proven, enqueue: put })

  const tick = (): void => {
    // A disk that is busy makes no ticks pile up: the clock of this member stands still meanwhile.
    if (running !== undefined && inputs.some(({ type }) => type === 'tick')) return
    // Who is no member has no part in elections; it waits to be made one.
    if (isMember(raft.status().configuration, self)) put({ type: 'tick' })
    for (const id of promises.due()) put({ type: 'read', id })
  }
  const stopTicks: Stop = port.timers.every(tickMs, tick)
  const stopHearing = port.onMember(({ id }, change, parted) => {
    const { leader } = raft.status()
    if (change === 'left' && parted !== true && leader !== undefined && peerOf(leader) === id)
      put({ type: 'lost', member: leader })
  })

  const close = (error: () => unknown): void => {
    stopped = true
    stopTicks()
    stopHearing()
    notices.stop()
    for (const { reject } of asked.splice(0)) reject(error())
    promises.end(error)
  }
  const fail = (error: unknown): void => {
    port.log.error('a member of the coordinator group stops', { error })
    close(unknownOutcome)
    // Whoever takes this member's place serves the same.
    inbound
      .close()
      .catch(() => {})
      .finally(() => deps.onFailure?.(error))
  }

  const ask = (what: { command: Uint8Array } | { configuration: Configuration }): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const refusal = stopped ? unknownOutcome() : (stalled ?? promises.full(asked.length))
      if (refusal !== undefined) {
        reject(refusal)
        return
      }
      counts.proposed += 1
      asked.push({ ...what, resolve, reject })
      wake()
    })

  // What was committed before is applied again.
  put({ type: 'tick' })
  await running

  return {
    self,
    propose: (command) => ask({ command }),
    change: async (next) => void (await ask({ configuration: next })),
    readable: (signal) =>
      stopped ? Promise.reject(unknownOutcome()) : promises.read((id) => put({ type: 'read', id }), signal),
    transfer: (to) => void put({ type: 'transfer', ...(to !== undefined && { to }) }),
    status: raft.status,
    applied: () => applied,
    matchOf: raft.matchOf,
    silentMs: inbound.silentMs,
    counts() {
      const { misdirected, ...heard } = inbound.counts()
      return { ...counts, dropped: counts.dropped + misdirected, ...heard }
    },
    async stop() {
      close(unknownOutcome)
      await running
      await inbound.close()
    },
  }
}
