/**
 * The agent directory: one signed record per agent, in full on every node.
 *
 * How records travel: a change of the own record is pushed to the neighbours at once and published on
 * `agents.presence`; a joiner's record is published as soon as somebody hears it. With every new neighbour, and with one
 * random neighbour each `syncPeriodMs`, two directories compare digests and exchange what the other lacks; that repairs
 * what gossip lost, and tells who was heard of lately. What comes from others is never pushed on.
 *
 * State: the tables of tables/directory-state.ts, the own record, the sync queue, listeners. All of it is dropped at `stop`.
 * Wire id: `/parley/directory/1`.
 */
import { equals } from 'uint8arrays/equals'
import { within } from '../../protocols/async.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { Port, Stop } from '../../protocols/port.ts'
import { createRegistration, type Registration } from '../../protocols/registration.ts'
import { type Activity, shownActivity } from '../agent-activity.ts'
import { fraction } from '../two-choices.ts'
import { createChangeListeners } from './change-listeners.ts'
import { createDirectoryCounts, type DirectoryStats } from './directory-counts.ts'
import { createDigestCodec } from './exchange/digest-codec.ts'
import { createDirectorySync, createFirstSync } from './exchange/directory-sync.ts'
import { createDissemination, randomSubset } from './exchange/dissemination.ts'
import { createRecordIntake } from './exchange/record-intake.ts'
import { findAgent } from './find-agent.ts'
import { createPeerLookup } from './peer-lookup.ts'
import {
  ALL_PUBLISHED,
  type DirectoryOptions,
  directoryProtocol,
  EMPTY_BYTES,
  inBatches,
  MAX_DIGEST,
  PRESENCE_TOPIC,
  readDirectoryOptions,
} from './protocol.ts'
import type { Departure } from './record/agent-record.ts'
import { type Announcement, createIdentityConflict, createOwnRecord } from './record/own-record.ts'
import type { Agent, Change } from './tables/agent-change.ts'
import { DirectoryState } from './tables/directory-state.ts'
import type { Candidate } from './tables/offer-index.ts'

export type DirectoryPort = Pick<
  Port,
  | 'self'
  | 'clock'
  | 'timers'
  | 'log'
  | 'metrics'
  | 'gossip'
  | 'hash'
  | 'random'
  | 'sign'
  | 'verify'
  | 'members'
  | 'onMember'
  | 'serve'
  | 'to'
>

export interface Directory {
  /** Changes the own record and tells everyone. Resolves when it is written, not when it arrived. MSG001, STA003. */
  announce(update: Announcement): Promise<void>
  /** Other agents that offer this major version, suspects among them; for `pick`. */
  offers(protocol: string, major: number): readonly Candidate[]
  /** Everyone, this node included. */
  agents(): Agent[]
  /** How many that is. */
  size(): number
  /** By peer id or name; STA003 when a name is not enough. */
  find(nameOrId: string): Agent | undefined
  get(peer: string): Agent | undefined
  /** On whose word the addresses of a peer are known here, by accounts for a budget; none where that is not known. */
  announcers(peer: string): readonly string[]
  /** Asks a few neighbours about an agent that is not in the view. Resolves when it is, or nobody told. Never rejects. */
  seek(peer: string): Promise<void>
  /**
   * The peer cannot be reached any more: it leaves the view until a newer record or a new connection proves it alive.
   * Ignored for a peer that is connected.
   */
  markGone(peer: string): void
  /** The mesh agrees that the peer is dead: it leaves the view, connected or not, until somebody hears of it later. */
  markDead(peer: string): void
  /** No new work for this peer while others are there. */
  markSuspect(peer: string): void
  markAlive(peer: string): void
  onChange(fn: (change: Change) => void): Registration
  /** Has agents shown with how they get on with their work; of those of which `fn` knows nothing the record tells. */
  showActivity(fn: (peer: string) => Activity | undefined): void
  /** Resolves after the first complete exchange with any peer. Rejects with the signal's reason, or COM002 at `stop`. */
  firstSync(options?: { signal?: AbortSignal }): Promise<void>
  /**
   * Tells everyone that this agent leaves; waits until that is sent, at most `leaveTimeoutMs`.
   * @param departure `stop` unless told: it means to come back; `leave`: for good
   */
  leave(departure?: Departure): Promise<void>
  stop(): Promise<void>
  stats(): DirectoryStats
}

/**
 * Starts the directory: resolves when the own record is written and the protocol is served.
 * @throws MSG001 for options, or a node's name, that cannot be used
 */
export const createDirectory = async (port: DirectoryPort, options: DirectoryOptions = {}): Promise<Directory> => {
  const settings = readDirectoryOptions(options)
  const state = new DirectoryState(port.self.id, settings)
  const counts = createDirectoryCounts(port.metrics, () => state.sizes())
  const listeners = createChangeListeners(port, () => counts.events.add('listener_failed'))
  const first = createFirstSync()
  const stopping = new AbortController()
  const nowMs = () => port.clock.monotonic()
  const random = () => fraction(port.random(4))
  let activityOf: (peer: string) => Activity | undefined = () => undefined
  const shown = (agent: Agent): Agent => {
    const activity = shownActivity(activityOf(agent.peer), agent.record.stuck === true)
    return activity === undefined ? agent : { ...agent, activity }
  }
  const emit = (changes: readonly Change[]): void =>
    listeners.emit(changes.map((change) => ({ ...change, agent: shown(change.agent) })))
  const expire = () => emit(state.expire(nowMs()))

  const { push, spread, isAwaited } = createDissemination(port, counts, settings.maxPushPeers, stopping.signal)
  let lastSpread = Promise.resolve()
  const own = createOwnRecord(port, settings.ttlMs, {
    written: (record, signed, reason) => {
      emit(state.setOwn(record, signed))
      lastSpread = spread(signed, reason)
    },
    schemasDropped: (count) => counts.events.add('schema_dropped', count),
  })
  /** For versions that nobody waits for. */
  const inBackground = (writing: Promise<void>): void => {
    writing.catch((error) => {
      counts.events.add('sign_failed')
      port.log.error('the own agent record could not be signed', { original_error: String(error) })
    })
  }
  const claims = createIdentityConflict(port, settings.syncPeriodMs, (version) => inBackground(own.exceed(version)))
  const { receiveAll, receiveGossip } = createRecordIntake({ port, state, counts, emit, onClaim: claims.add })
  const packed = createDigestCodec(port)
  let summed: { readonly revision: number; readonly sum: Uint8Array } | undefined
  /** Of what the tables hold; comparing it is all that two nodes do as long as nothing changes. */
  const sum = (): Uint8Array => {
    const revision = state.revision()
    if (summed?.revision !== revision) summed = { revision, sum: packed.checksum(state.digest(nowMs())) }
    return summed.sum
  }
  const sync = createDirectorySync({
    sum,
    port,
    state,
    packed,
    counts,
    maxConcurrent: settings.maxConcurrentSyncs,
    signal: stopping.signal,
    expire,
    emit,
    receiveAll,
    push,
    onSynced: first.resolve,
  })
  const seek = createPeerLookup({
    clock: port.clock,
    known: (peer) => state.get(peer) !== undefined,
    some: (count) => randomSubset(port.members(), count, random),
    compare: sync.compare,
  })

  const meet = (peer: string): void => {
    emit(state.markConnected(peer))
    sync.request(peer)
  }
  const part = (peer: string, parted: boolean): void => {
    emit(parted ? state.markParted(peer, nowMs()) : state.markDisconnected(peer, nowMs()))
    sync.drop(peer)
  }
  let isNew = false
  /**
   * A joiner wrote its record before it had a neighbour: writes it again, as gossip does not carry the same bytes
   * twice, and once more in a while, when the neighbours of its neighbours are there too.
   */
  const introduce = (): void => {
    isNew = true
    inBackground(own.introduce())
  }
  let ticks = 0
  let seen = state.revision()
  /** In a large mesh in which nothing changes each second period will do: everyone is asked by others as well. */
  const isQuiet = (): boolean => {
    const isSame = state.revision() === seen
    seen = state.revision()
    ticks += 1
    return isSame && state.count() > ALL_PUBLISHED && ticks % 2 === 0
  }
  const tick = (): void => {
    expire()
    claims.settle()
    if (isNew) inBackground(own.introduce())
    isNew = false
    if (isQuiet()) return
    const [member] = randomSubset(port.members(), 1, random)
    if (member) sync.request(member.id)
  }
  let stopPublishing: Stop = () => {}
  /** Whether gossip should carry the own record anew; where everybody is connected nobody counts the ttl. */
  const isFar = (): boolean => !state.isComplete() && state.count() <= ALL_PUBLISHED
  /** Each third of the ttl, a little earlier at random: nodes that started together do not publish together. */
  const publishLater = (): void => {
    stopPublishing = port.timers.after((settings.ttlMs / 3) * (0.8 + 0.2 * random()), () => {
      if (isFar()) inBackground(own.introduce())
      publishLater()
    })
  }

  await own.introduce()
  const unserve = await port.serve(directoryProtocol, {
    sync: (asked, { peer }) => {
      expire()
      const read = (bytes: Uint8Array) => packed.unpack(bytes, MAX_DIGEST)
      const theirs = { digest: read(asked.digest), ended: read(asked.ended), room: asked.room, from: peer }
      for (const doubts of [theirs.ended, read(asked.doubts)]) emit(state.doubt(doubts, nowMs()))
      if (asked.sum !== undefined) {
        const differs = !equals(asked.sum, sum())
        const fresher = packed.packAges(state.fresher(theirs.digest, nowMs()))
        return { records: [], wants: EMPTY_BYTES, fresher, differs, more: false }
      }
      const { records, wants, fresher, changes } = state.compare(theirs, nowMs())
      emit(changes)
      const [batch = [], ...rest] = inBatches(records)
      return {
        records: batch,
        wants: packed.packPeers(wants),
        fresher: packed.packAges(fresher),
        differs: false,
        more: rest.length > 0,
      }
    },
    push: async ({ records }, { peer }) => {
      await receiveAll(records, 'push', peer)
    },
  })
  // A record is taken in where it is checked, so that it is not read twice.
  const unsubscribe = port.gossip.subscribe(PRESENCE_TOPIC, receiveGossip, () => {})
  const stops: Stop[] = [
    unsubscribe,
    port.gossip.onSubscriptions(() => {
      if (isAwaited()) introduce()
    }),
    port.onMember(({ id }, change, parted = false) => (change === 'joined' ? meet(id) : part(id, parted))),
    port.timers.every(settings.syncPeriodMs, tick),
    () => stopPublishing(),
  ]
  publishLater()
  for (const { id } of port.members()) meet(id)

  return {
    announce: own.announce,
    offers: (protocol, major) => state.offers(protocol, major),
    agents: () => state.view().map(shown),
    size: () => state.count() + 1,
    find: (nameOrId) => {
      const agent = findAgent(state.view(), nameOrId)
      return agent && shown(agent)
    },
    get: (peer) => {
      const agent = state.get(peer)
      return agent && shown(agent)
    },
    announcers: (peer) => state.announcers(peer),
    seek,
    markGone: (peer) => emit(state.markGone(peer, nowMs())),
    markDead: (peer) => emit(state.markDead(peer, nowMs())),
    markSuspect: (peer) => emit(state.markSuspect(peer, nowMs())),
    markAlive: (peer) => emit(state.markAlive(peer)),
    onChange: (fn) => createRegistration(listeners.add(fn)),
    showActivity: (fn) => {
      activityOf = fn
    },
    firstSync: first.wait,
    leave: async (departure = 'stop') => {
      stopPublishing()
      await own.leave(departure)
      await within(port.timers, settings.leaveTimeoutMs, lastSpread)
    },
    stop: async () => {
      for (const stop of stops) stop()
      sync.clear()
      own.stop()
      listeners.clear()
      first.reject(
        new ParleyError('COM002', 'the directory stopped before it was in step with any peer', {
          hint: 'check that a peer can be reached, then start again',
        }),
      )
      stopping.abort(new ParleyError('COM002', 'the directory has stopped', { hint: 'this node is going down' }))
      await unserve()
    },
    stats: () => ({
      ...state.sizes(),
      ...sync.sizes(),
      refused: counts.refused.read(),
      accepted: counts.accepted.read(),
      sent: counts.sent.read(),
      events: counts.events.read(),
    }),
  }
}
