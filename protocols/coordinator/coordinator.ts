/**
 * The coordinator of a mesh, from every node's side: who it is, how to become one, and what it does for the seats.
 *
 * A node that has a seat hears of elections from its own Raft; any other one hears the coordinator's events, and asks
 * (whereabouts.ts). The coordinator tells `(epoch, leader, version)` when it begins to act, each 100 ms in which something
 * was decided, and each second; it decides who votes (autopilot.ts) among those who offer a seat.
 * State: offers of seats (bounded), since when each member has kept up. All of it soft.
 */
import { peerOf } from '../consensus/member-id.ts'
import type { Configuration } from '../consensus/messages.ts'
import type { RaftStatus } from '../consensus/raft.ts'
import { isParleyError, ParleyError } from '../errors.ts'
import type { Events } from '../events/api.ts'
import type { Subscription } from '../events/subscription.ts'
import { encodeCommand } from '../journal/command.ts'
import { LEVEL_KEY, levelOf, raiseLevel } from '../journal/kinds.ts'
import type { JournalSeat } from '../journal/serve.ts'
import type { Port } from '../port.ts'
import { AUTOPILOT, type AutopilotSettings, advise } from './autopilot.ts'
import { coordinatorProtocol, epochEvent } from './contract.ts'
import { type ActingFacts, createLeading } from './leading.ts'
import type { Whereabouts } from './whereabouts.ts'

const ANNOUNCE_TICK_MS = 100
const ANNOUNCE_EVERY_MS = 1_000
const AUTOPILOT_MS = 500
/** An offer without a seat, with one, and when there are enough. */
const OFFER_MS = { open: 1_000, seated: 5_000, enough: 15_000 }
const OFFER_LASTS_MS = 40_000
const MAX_OFFERS = 256
/** Entries behind the coordinator's commit index at which a member still keeps up. */
const LAG = 500
const FRESH_MS = 1_500
/** A seat without a leader for longer says that there is no quorum. */
const LEADERLESS_MS = 2_000

export interface CoordinatorDeps {
  readonly port: Pick<Port, 'self' | 'clock' | 'timers' | 'log' | 'serve' | 'to' | 'metrics'>
  readonly events: Pick<Events, 'publish' | 'subscribe'>
  readonly whereabouts: Whereabouts
  meshId(): string | undefined
  seat(): JournalSeat | undefined
  /** The seat that this node offers. */
  offers(): string | undefined
  /** The highest feature level that this version knows. */
  readonly level: number
  readonly autopilot?: Partial<AutopilotSettings>
}

export interface CoordinatorStatus {
  readonly meshId: string | undefined
  readonly epoch: number
  /** Peer id. */
  readonly leader: string | undefined
  /** This node coordinates, and acts. */
  readonly acting: boolean
  readonly seat: 'voter' | 'learner' | 'none'
  /** Member ids; of a node without a seat the peers that it heard of. */
  readonly voters: readonly string[]
  readonly learners: readonly string[]
  /** Whether decisions can be made, as far as this node knows. */
  readonly quorum: boolean
  readonly version: number
}

interface Offer {
  readonly member: string
  readonly level: number
  readonly leaving: boolean
  readonly at: number
}

export interface CoordinatorFeature {
  status(): CoordinatorStatus
  /** Of a seat that this node has, when its Raft moved on. */
  onStatus(seat: JournalSeat, status: RaftStatus): void
  act(fn: (facts: ActingFacts) => void | Promise<void>): () => void
  /** The epoch in which this node acts. */
  acting(): number | undefined
  onChange(fn: (status: CoordinatorStatus) => void): () => void
  /** Hands over, wherever the coordinator is. Resolves once another one leads. */
  transfer(to: string | undefined, signal: AbortSignal): Promise<{ epoch: number; leader: string }>
  /** This node's seat is given up for good. Resolves once it has none. */
  giveUp(signal: AbortSignal): Promise<void>
  stop(): Promise<void>
}

const refuse = (reason: string, message: string, hint: string): ParleyError =>
  new ParleyError('STA003', message, { hint, details: { reason } })

export const createCoordinator = async (deps: CoordinatorDeps): Promise<CoordinatorFeature> => {
  const { port, events, whereabouts, meshId, seat } = deps
  const settings: AutopilotSettings = { ...AUTOPILOT, ...deps.autopilot }
  const now = (): number => port.clock.monotonic()
  const offers = new Map<string, Offer>()
  /** Since when each member has kept up. */
  const keptUp = new Map<string, number>()
  const listeners = new Set<(status: CoordinatorStatus) => void>()
  let actingSince = 0
  let announcedAt = Number.NEGATIVE_INFINITY
  let announcedVersion = 0
  let announcing = false
  let changing = false
  let leaving = false
  let ledAt = now()
  let offerAt = Number.NEGATIVE_INFINITY
  let stopped = false
  const ending = new AbortController()

  const tell = (): void => {
    const status = read()
    for (const fn of listeners) fn(status)
  }

  const leading = createLeading(port, (epoch) => {
    if (epoch !== undefined) {
      actingSince = now()
      keptUp.clear()
      announcedAt = Number.NEGATIVE_INFINITY
      announce()
    }
    tell()
  })

  const seatsOf = ({ voters, learners }: Configuration): string[] => [...voters, ...learners].map(peerOf)

  const read = (): CoordinatorStatus => {
    const at = seat()
    const heard = whereabouts.heard()
    const status = at?.group.status()
    const isIn = status !== undefined && seatsOf(status.configuration).includes(port.self.id)
    if (at === undefined || status === undefined || !isIn) {
      const leader = whereabouts.leader()
      const isFresh = heard.silentMs !== undefined && heard.silentMs < 3 * ANNOUNCE_EVERY_MS
      const { epoch, version, seats } = heard
      return {
        meshId: meshId(),
        epoch,
        leader: leader?.peer,
        acting: false,
        seat: 'none',
        voters: seats,
        learners: [],
        quorum: isFresh,
        version,
      }
    }
    const { term, leader, configuration } = status
    return {
      meshId: meshId(),
      epoch: term,
      leader: leader === undefined ? undefined : peerOf(leader),
      acting: leading.epoch() !== undefined,
      seat: configuration.voters.includes(at.group.self) ? 'voter' : 'learner',
      ...configuration,
      quorum: leader !== undefined || now() - ledAt < LEADERLESS_MS,
      version: at.machine.version(),
    }
  }

  const announce = (): void => {
    const at = seat()
    const epoch = leading.epoch()
    const id = meshId()
    if (at === undefined || epoch === undefined || id === undefined || announcing) return
    const version = at.machine.version()
    if (version === announcedVersion && now() - announcedAt < ANNOUNCE_EVERY_MS) return
    announcedAt = now()
    announcedVersion = version
    announcing = true
    const seats = seatsOf(at.group.status().configuration)
    const told = { mesh_id: id, epoch, leader: port.self.id, version, seats, timestamp: port.clock.now() }
    events
      .publish(epochEvent, told, { ttlMs: ANNOUNCE_EVERY_MS * 5 })
      // The next one tells the same.
      .catch(() => {})
      .finally(() => {
        announcing = false
      })
  }

  const observe = (at: JournalSeat): void => {
    const { commit, configuration } = at.group.status()
    const isKeepingUp = (id: string): boolean =>
      id === at.group.self || (silentMs(at, id) < FRESH_MS && at.group.matchOf(id) + LAG >= commit)
    const members = [...configuration.voters, ...configuration.learners]
    for (const id of keptUp.keys()) if (!members.includes(id) || !isKeepingUp(id)) keptUp.delete(id)
    for (const id of members) if (isKeepingUp(id) && !keptUp.has(id)) keptUp.set(id, now())
    for (const [id, offer] of offers) if (now() - offer.at > OFFER_LASTS_MS) offers.delete(id)
  }
  /** A coordinator that just began has heard nobody: it waits as long as for everyone. */
  const silentMs = ({ group }: JournalSeat, id: string): number => group.silentMs(id) ?? now() - actingSince

  const steer = async (): Promise<void> => {
    const at = seat()
    if (at === undefined || leading.epoch() === undefined || changing) return
    observe(at)
    const { configuration, configurationIndex, commit } = at.group.status()
    if (configurationIndex > commit) return
    changing = true
    try {
      const advice = advise(
        {
          self: at.group.self,
          configuration,
          volunteers: [...offers.values()].map(({ member, leaving: goes }) => ({ member, leaving: goes })),
          silentMs: (id) => silentMs(at, id),
          keptUpMs: (id) => now() - (keptUp.get(id) ?? now()),
        },
        settings,
      )
      if (advice !== undefined) {
        port.log.info(`the seats change: ${advice.why}`, { epoch: leading.epoch() })
        await at.group.change(advice.configuration)
      } else await raise(at, configuration)
    } catch (error) {
      port.log.info('the seats could not be changed now', { error })
    } finally {
      changing = false
    }
  }

  /** The level that all voters have; the log says so once, and it only rises. */
  const raise = async ({ group, machine }: JournalSeat, { voters }: Configuration): Promise<void> => {
    const levels = voters.map((id) => (id === group.self ? deps.level : offers.get(id)?.level))
    const level = Math.min(...levels.map((one) => one ?? 0))
    if (level <= levelOf(machine.records.get(LEVEL_KEY)?.value)) return
    const facts = { session: 0, serial: 0, acked: 0, at: port.clock.now(), by: port.self.id }
    await group.propose(encodeCommand({ ...facts, kind: raiseLevel.name, input: { level } }))
  }

  /** Milliseconds until the next offer. */
  const offer = async (): Promise<number> => {
    const member = deps.offers()
    const id = meshId()
    const leader = whereabouts.leader()
    if (member === undefined || id === undefined || leader === undefined) return OFFER_MS.open
    const body = { meshId: id, member, level: deps.level, ...(leaving && { leaving }) }
    const { enough } = await port.to(leader.peer, coordinatorProtocol).volunteer(body)
    if (read().seat !== 'none') return OFFER_MS.seated
    return enough ? OFFER_MS.enough : OFFER_MS.open
  }
  const offerLater = (): void => {
    if (now() < offerAt || stopped) return
    // Until it is answered.
    offerAt = Number.POSITIVE_INFINITY
    offer().then(
      (ms) => {
        offerAt = now() + ms
      },
      () => {
        offerAt = now() + OFFER_MS.open
      },
    )
  }

  const unserve = await port.serve(coordinatorProtocol, {
    where() {
      const { epoch, leader, version, voters, learners } = read()
      const id = meshId()
      return {
        ...(id !== undefined && { meshId: id }),
        epoch,
        ...(leader !== undefined && { leader }),
        version,
        seats: [...voters, ...learners].map(peerOf),
      }
    },
    volunteer({ meshId: named, member, level, leaving: goes = false }, { peer }) {
      if (named !== meshId())
        throw refuse('other-mesh', 'this is another mesh', 'meshes that were founded apart do not mix')
      if (peerOf(member) !== peer)
        throw new ParleyError('SEC002', 'a seat can only be offered by its own node', { hint: 'offer your own' })
      const at = seat()
      if (at === undefined || leading.epoch() === undefined)
        throw refuse('not-leader', 'this node does not coordinate', 'ask the coordinator')
      const isNew = !offers.has(member)
      if (isNew && offers.size >= MAX_OFFERS) return { enough: true }
      offers.set(member, { member, level, leaving: goes, at: now() })
      const { voters, learners } = at.group.status().configuration
      return {
        enough: voters.length >= 5 && learners.length > 0 && !voters.includes(member) && !learners.includes(member),
      }
    },
    async transfer({ meshId: named, to }, { signal }) {
      const at = seat()
      if (named !== meshId() || at === undefined || leading.epoch() === undefined)
        throw refuse('not-leader', 'this node does not coordinate', 'ask the coordinator')
      return handOver(at, to, signal)
    },
  })

  const handOver = async (
    { group }: JournalSeat,
    to: string | undefined,
    signal: AbortSignal,
  ): Promise<{ epoch: number; leader: string }> => {
    const { term, configuration } = group.status()
    const others = configuration.voters.filter((id) => id !== group.self)
    const member = to === undefined ? undefined : others.find((id) => peerOf(id) === to)
    if (others.length === 0) throw refuse('alone', 'no other node votes', 'wait until others have joined and caught up')
    if (to === port.self.id) return { epoch: term, leader: to }
    if (to !== undefined && member === undefined)
      throw refuse('no-voter', `${to} does not vote`, `the voters are ${others.map(peerOf).join(', ')}`)
    group.transfer(member)
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const { term: epoch, leader } = group.status()
        if (epoch <= term || leader === undefined || leader === group.self) return
        end()
        resolve({ epoch, leader: peerOf(leader) })
      }
      const stopLooking = port.timers.every(20, look)
      const fail = (): void => {
        end()
        reject(refuse('not-handed-over', 'nobody took over in time', 'see whether the others keep up, then try again'))
      }
      const stopLimit = port.timers.after(3_000, fail)
      const end = (): void => {
        stopLooking()
        stopLimit()
        signal.removeEventListener('abort', fail)
      }
      signal.addEventListener('abort', fail, { once: true })
    })
  }

  /** Once there is a coordinator to hear of: a mesh that nobody founded has no such topic. */
  let subscription: Promise<Subscription<unknown>> | undefined
  const listen = (): void => {
    if (subscription !== undefined || meshId() === undefined || stopped) return
    subscription = events.subscribe(epochEvent, ({ data, source }) => {
      // Nobody speaks for another node.
      if (source !== data.leader || source === port.self.id) return
      whereabouts.learn({
        meshId: data.mesh_id,
        epoch: data.epoch,
        leader: data.leader,
        version: data.version,
        seats: data.seats,
      })
    })
    subscription.catch((error: unknown) => {
      subscription = undefined
      port.log.warn('the coordinator cannot be heard', { error })
    })
    // Whoever comes later hears of it within a second, or asks.
    void whereabouts.find(ending.signal).catch(() => {})
  }
  const stopLearning = whereabouts.onChange(() => {
    offerAt = Math.min(offerAt, now())
    tell()
  })
  const stops = [
    port.timers.every(ANNOUNCE_TICK_MS, announce),
    port.timers.every(AUTOPILOT_MS, () => void steer()),
    port.timers.every(ANNOUNCE_TICK_MS, listen),
    port.timers.every(AUTOPILOT_MS, offerLater),
    stopLearning,
  ]

  return {
    status: read,
    acting: () => leading.epoch(),
    act: leading.act,
    onStatus(at, status) {
      const { leader, term, configuration } = status
      if (leader !== undefined) {
        ledAt = now()
        const seats = seatsOf(configuration)
        if (seats.includes(port.self.id))
          whereabouts.learn({
            meshId: at.meshId,
            epoch: term,
            leader: peerOf(leader),
            version: at.machine.version(),
            seats,
          })
      }
      leading.onStatus(at, status)
    },
    onChange(fn) {
      listeners.add(fn)
      return () => listeners.delete(fn)
    },
    async transfer(to, signal) {
      const id = meshId()
      const leader = await whereabouts.find(signal)
      if (id === undefined) throw refuse('not-founded', 'this mesh has no coordinator yet', 'wait until it is founded')
      return port
        .to(leader.peer, coordinatorProtocol)
        .transfer({ meshId: id, ...(to !== undefined && { to }) }, { signal })
    },
    async giveUp(signal) {
      leaving = true
      while (read().seat !== 'none' && !signal.aborted) {
        if (leading.epoch() !== undefined) {
          const at = seat()
          if (at !== undefined) await handOver(at, undefined, signal)
        }
        await offer().catch((error: unknown) => {
          if (!isParleyError(error)) throw error
        })
        await new Promise<void>((resolve) => void port.timers.after(100, resolve))
      }
      if (signal.aborted) throw signal.reason
    },
    async stop() {
      stopped = true
      for (const stop of stops) stop()
      leading.stop()
      ending.abort(new Error('this node stops'))
      ;(await subscription?.catch(() => undefined))?.unsubscribe()
      await unserve()
    },
  }
}
