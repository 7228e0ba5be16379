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
import { ParleyError } from '../../protocols/errors.ts'
import type { Member, Port, Stop } from '../../protocols/port.ts'
import { createRegistration, type Registration } from '../../protocols/registration.ts'
import { type Activity, shownActivity } from '../agent-activity.ts'
import { fraction } from '../two-choices.ts'
import { createDirectoryCounts, type DirectoryStats } from './directory-counts.ts'
import { createDigestCodec, createTableSum } from './exchange/digest-codec.ts'
import { serveDirectory } from './exchange/directory-server.ts'
import { createDirectorySync, createFirstSync } from './exchange/directory-sync.ts'
import { createDissemination, randomSubset } from './exchange/dissemination.ts'
import { OwnPresence } from './exchange/own-presence.ts'
import { createRecordIntake } from './exchange/record-intake.ts'
import { findAgent } from './find-agent.ts'
import { createLookup, type Sought } from './lookup.ts'
import { ALL_PUBLISHED, type DirectoryOptions, PRESENCE_TOPIC, readDirectoryOptions } from './protocol.ts'
import type { Departure } from './record/agent-record.ts'
import type { Announcement } from './record/own-record.ts'
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
  /** Asks a few neighbours about what is not in the view. Resolves when it is, or nobody told. Never rejects. */
  seek(sought: Sought): Promise<void>
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
 * What this process sees of agents: each with how it gets on with its work, and changes as they come. A listener that
 * throws is counted and logged, and does not keep the others from hearing.
 */
const createAgentViews = (log: Port['log'], failed: () => void) => {
  const listeners = new Set<(change: Change) => void>()
  let activityOf: (peer: string) => Activity | undefined = () => undefined
  const shown = (agent: Agent): Agent => {
    const activity = shownActivity(activityOf(agent.peer), agent.record.stuck === true)
    return activity === undefined ? agent : { ...agent, activity }
  }
  const tell = (change: Change): void => {
    for (const listener of listeners) {
      try {
        listener(change)
      } catch (error) {
        failed()
        log.error('a listener of the directory failed', { original_error: String(error) })
      }
    }
  }
  return {
    shown,
    found: (agent: Agent | undefined): Agent | undefined => agent && shown(agent),
    showActivity(fn: (peer: string) => Activity | undefined): void {
      activityOf = fn
    },
    onChange(fn: (change: Change) => void): Stop {
      const listener = (change: Change) => fn(change)
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    emit: (changes: readonly Change[]): void =>
      changes.map((change) => ({ ...change, agent: shown(change.agent) })).forEach(tell),
    clear: (): void => listeners.clear(),
  }
}

/**
 * Each period one random neighbour is compared with. In a large mesh in which nothing changes each second period will do:
 * everyone is asked by others as well.
 */
const createPeriodicSync = (state: DirectoryState, request: (peer: string) => void) => {
  let ticks = 0
  let seen = state.revision()
  return (members: readonly Member[], random: () => number): void => {
    const isSame = state.revision() === seen
    seen = state.revision()
    ticks += 1
    if (isSame && state.count() > ALL_PUBLISHED && ticks % 2 === 0) return
    const [member] = randomSubset(members, 1, random)
    if (member) request(member.id)
  }
}

/**
 * Starts the directory: resolves when the own record is written and the protocol is served.
 * @throws MSG001 for options, or a node's name, that cannot be used
 */
export const createDirectory = async (port: DirectoryPort, options: DirectoryOptions = {}): Promise<Directory> => {
  const settings = readDirectoryOptions(options)
  const state = new DirectoryState(port.self.id, settings)
  const counts = createDirectoryCounts(port.metrics, () => state.sizes())
  const views = createAgentViews(port.log, () => counts.events.add('listener_failed'))
  const { shown, emit } = views
  const first = createFirstSync()
  const stopping = new AbortController()
  const { signal } = stopping
  const nowMs = () => port.clock.monotonic()
  const random = () => fraction(port.random(4))
  const expire = () => emit(state.expire(nowMs()))

  const { push, spread, isAwaited } = createDissemination(port, counts, settings.maxPushPeers, signal)
  const own = new OwnPresence({
    port,
    settings,
    counts,
    spread,
    written: (record, signed) => emit(state.setOwn(record, signed)),
    isFar: () => !state.isComplete() && state.count() <= ALL_PUBLISHED,
  })
  const { receiveAll, receiveGossip } = createRecordIntake({
    port,
    state,
    counts,
    emit,
    onClaim: (record) => own.onClaim(record),
  })
  const packed = createDigestCodec(port)
  const exchange = { port, state, packed, sum: createTableSum(packed, state, port.clock), expire, emit, receiveAll }
  const { maxConcurrentSyncs: maxConcurrent } = settings
  const sync = createDirectorySync({ ...exchange, counts, maxConcurrent, signal, push, onSynced: first.resolve })
  const seek = createLookup({
    clock: port.clock,
    state,
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
  const compareWithOne = createPeriodicSync(state, sync.request)
  const tick = (): void => {
    expire()
    own.tick()
    compareWithOne(port.members(), random)
  }

  await own.begin()
  const unserve = await serveDirectory(exchange)
  // A record is taken in where it is checked, so that it is not read twice.
  const unsubscribe = port.gossip.subscribe(PRESENCE_TOPIC, receiveGossip, () => {})
  const stops: Stop[] = [
    unsubscribe,
    port.gossip.onSubscriptions(() => {
      if (isAwaited()) own.introduce()
    }),
    port.onMember(({ id }, change, parted = false) => (change === 'joined' ? meet(id) : part(id, parted))),
    port.timers.every(settings.syncPeriodMs, tick),
  ]
  own.publishLater()
  for (const { id } of port.members()) meet(id)

  return {
    announce: (update) => own.announce(update),
    offers: (protocol, major) => state.offers(protocol, major),
    agents: () => state.view().map(shown),
    size: () => state.count() + 1,
    find: (nameOrId) => views.found(findAgent(state.view(), nameOrId)),
    get: (peer) => views.found(state.get(peer)),
    announcers: (peer) => state.announcers(peer),
    seek,
    markGone: (peer) => emit(state.markGone(peer, nowMs())),
    markDead: (peer) => emit(state.markDead(peer, nowMs())),
    markSuspect: (peer) => emit(state.markSuspect(peer, nowMs())),
    markAlive: (peer) => emit(state.markAlive(peer)),
    onChange: (fn) => createRegistration(views.onChange(fn)),
    showActivity: views.showActivity,
    firstSync: first.wait,
    leave: (departure = 'stop') => own.leave(departure),
    stop: async () => {
      for (const stop of stops) stop()
      own.stop()
      sync.clear()
      views.clear()
      first.stop()
      stopping.abort(new ParleyError('COM002', 'the directory has stopped', { hint: 'this node is going down' }))
      await unserve()
    },
    stats: () => ({ ...state.sizes(), ...sync.sizes(), ...counts.read() }),
  }
}
