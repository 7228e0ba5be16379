/**
 * One member of a group over the Port, a store and a state machine: its core, the driver that carries out what the core asks
 * for (raft-driver.ts), the server that hears other members (raft-server.ts), and its clock.
 */
import type { Stop } from '../../port.ts'
import { peerOf } from '../member-id.ts'
import { isMember } from '../raft/configuration-history.ts'
import { createRaft, type RaftInput } from '../raft/raft.ts'
import { RaftLog } from '../raft/raft-log.ts'
import { type Configuration, type Entry, encodeConfiguration } from '../raft/raft-messages.ts'
import type { RaftGroup, RaftGroupDeps, RaftGroupOptions } from './group-api.ts'
import type { GroupStorage } from './group-storage.ts'
import { RaftDriver } from './raft-driver.ts'
import { serveRaft } from './raft-server.ts'

const TICK_MS = 50
const SNAPSHOT_EVERY = 30_000

const NOBODY: Configuration = { voters: [], learners: [] }

/** The founders begin with the same entry, so that their logs agree. @returns the log as it is then */
const bootstrapLog = async (storage: GroupStorage, founders: Configuration | undefined) => {
  const { hardState, snapshot, entries } = storage.opened
  const isNew = snapshot === undefined && entries.length === 0 && hardState.term === 0
  if (!isNew || founders === undefined) return { hardState, entries }
  const first: Entry = { index: 1, term: 1, kind: 'configuration', data: encodeConfiguration(founders) }
  const founded = { hardState: { term: 1, votedFor: undefined, commit: 1 }, entries: [first] }
  await storage.write(founded)
  return founded
}

/** The core as its log and its newest snapshot have it; the state machine is what it was at that snapshot. */
const restoreRaft = async (deps: RaftGroupDeps, { self, founders, raft }: RaftGroupOptions) => {
  const { port, storage, machine } = deps
  const { snapshot } = storage.opened
  if (snapshot !== undefined) {
    await machine.restore(await storage.readSnapshot(snapshot))
    deps.onConfiguration?.(snapshot.configuration, snapshot, false)
  }
  const { hardState, entries } = await bootstrapLog(storage, founders)
  const log = new RaftLog(snapshot ?? { index: 0, term: 0 }, entries)
  const random = (): number => new DataView(port.random(4).slice().buffer).getUint32(0) / 2 ** 32
  return createRaft({ self, hardState, configuration: snapshot?.configuration ?? NOBODY, log }, random, raft)
}

/** Resolves once it takes part. @throws what the store or the state machine says */
export const startRaftGroup = async (deps: RaftGroupDeps, options: RaftGroupOptions): Promise<RaftGroup> => {
  const { port, proven } = deps
  const { group, self, tickMs = TICK_MS, snapshotEvery = SNAPSHOT_EVERY } = options
  const raft = await restoreRaft(deps, options)
  const onFailure = (error: unknown): void => {
    port.log.error('a member of the coordinator group stops', { error })
    close()
    // Whoever takes this member's place serves the same.
    server
      .close()
      .catch(() => {})
      .finally(() => deps.onFailure?.(error))
  }
  const driver = new RaftDriver({
    ...deps,
    raft,
    group,
    self,
    snapshotEvery,
    onContradictions: (all) => server.reportContradictions(all),
    onFailure,
  })
  const enqueue = (input: RaftInput): boolean => driver.enqueue(input)
  const server = await serveRaft({ port, group, self, raft, snapshots: driver.snapshots, proven, enqueue })

  const isMemberNow = (): boolean => isMember(raft.status().configuration, self)
  const stops: readonly Stop[] = [
    port.timers.every(tickMs, () => driver.tick(isMemberNow)),
    port.onMember(({ id }, change, parted) => {
      const { leader } = raft.status()
      if (change === 'left' && parted !== true && leader !== undefined && peerOf(leader) === id)
        enqueue({ type: 'lost', member: leader })
    }),
  ]
  const close = (): void => {
    for (const stop of stops) stop()
    driver.close()
  }

  // What was committed before is applied again.
  enqueue({ type: 'tick' })
  await driver.idle()

  return {
    self,
    propose: (command) => driver.propose({ command }),
    change: async (configuration) => void (await driver.propose({ configuration })),
    readable: (signal) => driver.readable(signal),
    transfer: (to) => void enqueue({ type: 'transfer', ...(to !== undefined && { to }) }),
    status: raft.status,
    applied: () => driver.applied,
    matchOf: raft.matchOf,
    silentMs: server.silentMs,
    counts() {
      const counts = driver.counts()
      const { misdirected, ...heard } = server.counts()
      return { ...counts, dropped: counts.dropped + misdirected, ...heard }
    },
    async stop() {
      close()
      await driver.idle()
      await server.close()
    },
  }
}
