/**
 * This node as a member of the coordinator group: its log on disk, and the member that rests on it.
 *
 * A disk that fails ends the member, not the node: the log is opened again, which reads what is really there. State: the
 * open store, the member on it, why there is none.
 */
import { join } from 'node:path'
import { startRaftGroup } from '../../protocols/consensus/group/group.ts'
import { peerOf } from '../../protocols/consensus/member-id.ts'
import type { Proofs } from '../../protocols/consensus/proof/proof-api.ts'
import { isMember } from '../../protocols/consensus/raft/configuration-history.ts'
import type { RaftStatus } from '../../protocols/consensus/raft/raft.ts'
import { isParleyError, type ParleyError } from '../../protocols/errors.ts'
import { createJournalClock } from '../../protocols/journal/journal-clock.ts'
import type { JournalMember } from '../../protocols/journal/journal-server.ts'
import type { KnownKinds } from '../../protocols/journal/part-kinds.ts'
import { createJournalMachine, isUnknownKind } from '../../protocols/journal/state/journal-machine.ts'
import { decodeJournal } from '../../protocols/journal/state/journal-snapshot.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import { type Disk, openFolder } from '../store/files/disk.ts'
import { type OpenGroupStorage, openGroupStorage } from '../store/journal/disk-group-storage.ts'
import { type LossNote, readLossNote, rejoinAfterLoss, removeLossNote } from '../store/journal/journal-loss.ts'
import { openMemberWithdrawal } from '../store/journal/member-withdrawal.ts'
import { handleRestoredBackup } from '../store/journal/restored-backup.ts'
import { JOURNAL_FOLDER, type KnownStores } from '../store/known-stores.ts'
import { createJournalNote } from './journal-note.ts'

const AGAIN_MS = 1_000
const MAX_AGAIN_MS = 30_000
const HAND_OVER_MS = 1_500
/** Who was not heard for so long cannot take over. */
const AWAY_MS = 500

export interface RaftMemberDeps {
  readonly port: Port
  readonly disk: Disk
  readonly kinds: KnownKinds
  readonly snapshotEvery: number
  readonly proofs?: Pick<Proofs, 'voters' | 'appliedFacts'> | undefined
  /** Where it is noted that there is a journal. */
  readonly knownStores?: KnownStores | undefined
  onStatus(seat: JournalMember, status: RaftStatus): void
}

/** What a member begins with: where it founds, the founders that vote. */
export interface RaftMemberStart {
  readonly meshId: string
  readonly founders: readonly string[] | undefined
}

export interface RaftMember {
  readonly storageId: string
  /** There is something of a group on its disk. */
  readonly hasContents: boolean
  /** Takes part from here on. @param member `<peer>.<storage id>` */
  start(member: string, what: RaftMemberStart): Promise<void>
  current(): JournalMember | undefined
  /** Why it cannot take part now. */
  problem(): string | undefined
  /** Why it left for good, until the node is started again: it met a command that it does not know. */
  unable(): string | undefined
  /** That its log lost something, for a person; undefined: nothing, or it votes again since. */
  loss(): string | undefined
  counts(): ReturnType<OpenGroupStorage['counts']>
  stop(): Promise<void>
}

export { JOURNAL_FOLDER }

export const NO_VOTE_AFTER_RESTORE =
  'no coordinator answers, and this node came back as a new member without a vote (its store was restored, copied or ' +
  'repaired): a majority of the other voters lets it in; where there is none left, run `parley store force-recover` on the ' +
  'node that is furthest, as `parley store verify` shows'

/**
 * This peer votes as another member, as its log knows it, and not as the one that it is: where that happened to most voters,
 * nobody is left to let them in.
 */
export const votesOnlyAsFormerMember = ({ group }: JournalMember): boolean => {
  const { configuration } = group.status()
  const isOwn = (id: string): boolean => peerOf(id) === peerOf(group.self)
  return !isMember(configuration, group.self) && configuration.voters.some(isOwn)
}

/** For what fails unasked: logs it, but for what fails because this node is stopping. */
export const logUnlessStopping =
  (log: Port['log'], message: string) =>
  (error: unknown): void => {
    if (!isParleyError(error, 'STA003') || error.details.reason !== 'closed') log.error(message, { error })
  }

/** Before a node that coordinates stops: another one is to do so, if any is there. */
export const transferBeforeStop = async (
  { timers, log }: Pick<Port, 'timers' | 'log'>,
  seat: JournalMember | undefined,
  transfer: (to: undefined, signal: AbortSignal) => Promise<unknown>,
): Promise<void> => {
  if (seat === undefined) return
  const { group } = seat
  // Where nobody else is there it would wait in vain, as the last of all that are stopped does.
  const isThere = (id: string): boolean => id !== group.self && (group.silentMs(id) ?? AWAY_MS) < AWAY_MS
  if (!group.status().configuration.voters.some(isThere)) return
  const limit = new AbortController()
  const stop = timers.after(HAND_OVER_MS, () => limit.abort(new Error('nobody took over in time')))
  try {
    await transfer(undefined, limit.signal)
  } catch (error) {
    // They may all be stopping: then nobody is left to take over, and nothing is lost by it.
    log.info('nobody took over before this node stopped; the others elect somebody', { error })
  } finally {
    stop()
  }
}

/**
 * The folder that a member's store is in, before anything rests on it.
 * @throws STA003 where it was copied and cannot be renewed
 */
export const openJournalFolder = async (
  port: Pick<Port, 'self' | 'random' | 'log'>,
  dataDir: string,
  joins: boolean,
) => {
  const folder = join(dataDir, JOURNAL_FOLDER)
  const disk = await openFolder(folder)
  const random = (bytes: number): Uint8Array => port.random(bytes)
  await handleRestoredBackup({ disk, folder, random, peer: port.self.id, joins, log: port.log })
  return { disk, keeping: await openMemberWithdrawal(disk) }
}

/** The journal lost something: said as long as this node does not vote again. */
const lostText = ({ why, kept }: LossNote): string =>
  `the journal of this node lost what it had acknowledged (${why}); it came back as a new member without a vote, with its ` +
  `own log up to entry ${kept}, and learns from the others`

/** The log as it is, or that of a new member where something of it is lost. @throws as `returnLost` */
const openStorage = async (
  disk: Disk,
  random: (bytes: number) => Uint8Array,
  port: Pick<Port, 'self' | 'log' | 'timers' | 'clock'>,
  noted: 'alone' | 'others' | undefined,
): Promise<OpenGroupStorage> => {
  const { self, log, clock } = port
  try {
    return await openGroupStorage(disk, random, { port, decode: decodeJournal })
  } catch (error) {
    if (!isParleyError(error) || error.details.reason !== 'damaged') throw error
    const done = await rejoinAfterLoss(disk, random, { peer: self.id, noted }, clock.now())
    if (done.kind === 'renewed') log.error(lostText(done), { was: done.was, aside: done.aside, error })
    return openGroupStorage(disk, random, { port, decode: decodeJournal })
  }
}

/** That the log lost something: said until this node votes again. */
const openLoss = async (disk: Disk, log: Port['log']) => {
  let lost = await readLossNote(disk)
  return {
    text: () => lost && lostText(lost),
    onStatus({ configuration }: RaftStatus, member: string): void {
      if (lost === undefined || !configuration.voters.includes(member)) return
      lost = undefined
      log.info('this node votes again, as a new member', { member })
      removeLossNote(disk).catch((error: unknown) => log.warn('a note could not be removed', { error }))
    },
  }
}

const holdsAnything = ({ hardState, snapshot, entries }: OpenGroupStorage['storage']['opened']): boolean =>
  hardState.term > 0 || snapshot !== undefined || entries.length > 0

/** @throws STA003 for a log that lost something of a node that votes alone, or that is of a newer version */
export const openRaftMember = async (deps: RaftMemberDeps): Promise<RaftMember> => {
  const { port, disk, kinds, snapshotEvery, proofs, knownStores, onStatus } = deps
  const random = (bytes: number): Uint8Array => port.random(bytes)
  let store = await openStorage(disk, random, port, knownStores?.recorded().journal?.voters)
  const { storageId } = store
  const loss = await openLoss(disk, port.log)
  const journalNote = createJournalNote(knownStores)
  let current: JournalMember | undefined
  let problem: string | undefined
  let unable: string | undefined
  let stopped = false
  let again: Stop | undefined
  let busy: Promise<void> = Promise.resolve()

  const start = async (member: string, { meshId, founders }: RaftMemberStart, waitMs: number): Promise<void> => {
    const machine = createJournalMachine(
      kinds,
      (kind, error) => port.log.error('a command failed by a mistake in its kind; it had no effect', { kind, error }),
      proofs?.appliedFacts.addEpoch,
    )
    let seat: JournalMember | undefined
    await journalNote.first(member, { meshId, founders })
    const group = await startRaftGroup(
      {
        port,
        storage: store.storage,
        machine,
        proven: proofs?.voters,
        ...(proofs !== undefined && { onConfiguration: proofs.appliedFacts.addConfiguration }),
        onStatus(status) {
          loss.onStatus(status, member)
          journalNote.onStatus(status, member, meshId)
          if (seat !== undefined) onStatus(seat, status)
        },
        onStall(stall: ParleyError | undefined) {
          problem = stall?.message
        },
        onFailure(error) {
          current = undefined
          if (isUnknownKind(error)) {
            unable = `${error.message}; ${error.hint}`
            port.log.error('this node leaves its seat', { why: error.message, hint: error.hint })
            return
          }
          problem = `its log failed: ${error instanceof Error ? error.message : String(error)}`
          retry(member, { meshId, founders }, waitMs)
        },
      },
      {
        group: meshId,
        self: member,
        snapshotEvery,
        ...(founders !== undefined && { founders: { voters: founders, learners: [] } }),
      },
    )
    seat = { meshId, group, machine, clock: createJournalClock(port.clock, () => machine.at()) }
    current = seat
    problem = undefined
    onStatus(seat, group.status())
  }

  /** Opens the log again, later and later. */
  const retry = (member: string, what: RaftMemberStart, waitMs: number): void => {
    if (stopped) return
    again = port.timers.after(waitMs, () => {
      busy = reopen(member, what, Math.min(MAX_AGAIN_MS, 2 * waitMs))
    })
  }
  const reopen = async (member: string, what: RaftMemberStart, waitMs: number): Promise<void> => {
    try {
      await store.close().catch(() => {})
      if (stopped) return
      store = await openGroupStorage(disk, random, { port, decode: decodeJournal })
      await start(member, what, waitMs)
      port.log.warn('the log of the coordinator group is open again', {})
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error)
      const hint = isParleyError(error) ? error.hint : undefined
      port.log.error('the log of the coordinator group cannot be opened', { error, hint })
      retry(member, what, waitMs)
    }
  }

  return {
    storageId,
    hasContents: holdsAnything(store.storage.opened),
    start(member, what) {
      const taking = busy.then(() => (stopped ? undefined : start(member, what, AGAIN_MS)))
      busy = taking.catch(() => {})
      return taking
    },
    current: () => current,
    problem: () => problem,
    unable: () => unable,
    loss: loss.text,
    counts: () => store.counts(),
    async stop() {
      stopped = true
      again?.()
      await busy
      const seat = current
      current = undefined
      await seat?.group.stop()
      await store.close()
    },
  }
}
