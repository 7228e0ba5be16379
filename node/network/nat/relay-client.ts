/**
 * Relays, in a running node: serves as one, keeps places at others where this node cannot be dialled, tells the addresses
 * that lead there, and replaces relayed connections by direct ones when that becomes possible.
 *
 * A serving node tells it in its record as a protocol without methods. With `use: auto` nothing is done until a member
 * serves; then a few members are asked to dial this node, and again now and then. State: reservations (relay-reservations.ts), whether this
 * node can be dialled; both bounded by the members.
 */
import type { Connection } from '@libp2p/interface'
import type { Directory } from '../../../discovery/directory/directory.ts'
import type { ProtocolRecord } from '../../../discovery/directory/record/agent-record.ts'
import { ParleyError } from '../../../protocols/errors.ts'
import type { Clock, Log, Port, Stop, Timers } from '../../../protocols/port.ts'
import type { RelaySettings } from '../../options/discovery-options.ts'
import { endingWith, isRelayed, worthAnnouncing } from '../addresses/multiaddresses.ts'
import type { Peers } from '../peers.ts'
import { type Autonat, MAX_TRIED } from './autonat.ts'
import type { CircuitTransport } from './circuit-transport.ts'
import { createDirectUpgrades } from './direct-upgrade.ts'
import type { RelayFacts } from './relay-facts.ts'
import { carriesRelayed, RESERVATION_MS } from './relay-messages.ts'
import { noReservations, type ReservationsInput, stepReservations } from './relay-reservations.ts'
import type { RelayServer, RelayServerDeps } from './relay-server.ts'

/** What a serving node tells in its record; no program can give a protocol of its own this name. */
export const RELAY_RECORD: ProtocolRecord = {
  name: 'circuit/relay',
  version: '1.0.0',
  description: 'Carries connections for members that cannot be dialled',
  methods: [],
}

const LOOK_MS = 500
/** A place is not asked for again sooner than after half of this, milliseconds. */
const LEAST_PLACE_MS = 30_000
/** Between two questions whether this node can be dialled, milliseconds; sooner while nobody knew. */
const CHECK_MS = 60_000
const UNKNOWN_MS = 5_000
/** Addresses told for each relay: a record has room for sixteen. */
const MAX_TOLD = 4

export interface RelayClientDeps {
  readonly port: Pick<Port, 'self' | 'onMember'>
  readonly clock: Clock
  readonly timers: Timers
  readonly log: Log
  readonly circuits: CircuitTransport
  readonly peers: Peers
  readonly reach: Autonat
  readonly directory: Pick<Directory, 'offers' | 'get' | 'onChange'>
  readonly server: Pick<RelayServerDeps, 'gate' | 'handle'>
  chance(): number
  /** Its own addresses, without those that lead through relays. */
  addresses(): string[]
  /** Connects to a member. */
  connect(peer: string): Promise<Connection>
  /** Dials this address, which ends with a peer id, whatever connections there are. */
  dial(address: string, signal: AbortSignal): Promise<Connection>
  /** Tells others of something that this node serves. */
  advertise(id: string, record: ProtocolRecord): Promise<unknown>
  /** The addresses changed: others are told. */
  changed(): void
  /** The shortest pause between two direct dials of a relayed peer, milliseconds; it doubles. */
  readonly upgradeMs: number
}

export interface RelayClient {
  /** Those that lead through relays at which this node has a place. */
  addresses(): string[]
  hasReservation(relay: string): boolean
  /** It is needed for a place, or carries somebody. */
  isNeeded(connection: Connection): boolean
  facts(): RelayFacts
  stop(): Promise<void>
}

export const startRelayClient = async (deps: RelayClientDeps, settings: RelaySettings): Promise<RelayClient> => {
  const { port, clock, timers, log, peers, directory } = deps
  const self = port.self.id
  let places = noReservations
  let dialable: boolean | undefined
  let checkAt = Number.NEGATIVE_INFINITY
  let checking = false
  let told = ''
  let stopped = false
  const counts = { granted: 0, refused: 0 }
  const isOverRelay = (peer: string): boolean => {
    const chosen = peers.get(peer)?.chosen
    return chosen !== undefined && isRelayed(chosen.remoteAddr.toString())
  }

  const relayed = (): string[] => peers.all().flatMap(({ id }) => (isOverRelay(id) ? [id] : []))
  const upgrades = createDirectUpgrades({
    clock,
    timers,
    chance: deps.chance,
    relayed,
    addressesOf: (peer) => directory.get(peer)?.record.addresses ?? [],
    dial: deps.dial,
    pauseMs: deps.upgradeMs,
  })

  const addresses = (): string[] =>
    [...places.held.keys()].flatMap((relay) =>
      (directory.get(relay)?.record.addresses ?? [])
        .filter((address) => !isRelayed(address))
        .slice(0, MAX_TOLD)
        .map((address) => `${endingWith(address, relay)}/p2p-circuit/p2p/${self}`),
    )

  const tellChange = (): void => {
    const now = addresses().join(' ')
    if (now === told || stopped) return
    told = now
    deps.changed()
  }

  const ask = async (relay: string): Promise<void> => {
    try {
      await deps.circuits.listen()
      if (peers.get(relay) === undefined) await deps.connect(relay)
      const until = await deps.circuits.reserve(relay)
      if (!places.held.has(relay)) {
        counts.granted += 1
        log.info('this node can be reached through a relay', { relay })
      }
      // The relay's clock may differ from this one's by any amount.
      step({ type: 'granted', relay, forMs: Math.min(RESERVATION_MS, Math.max(LEAST_PLACE_MS, until - clock.now())) })
    } catch (error) {
      counts.refused += 1
      log.warn(error instanceof Error ? error.message : String(error), {
        relay,
        ...(error instanceof ParleyError && { hint: error.hint }),
      })
      step({ type: 'refused', relay })
    }
    if (!stopped) look()
  }

  const step = (input: ReservationsInput): void => {
    const next = stepReservations(places, input, clock.monotonic())
    places = next.state
    if (next.ask !== undefined) void ask(next.ask.relay)
    tellChange()
  }

  const relays = (): Map<string, boolean> =>
    new Map(
      directory
        .offers(RELAY_RECORD.name, 1)
        .filter(({ peer }) => peer !== self && !isOverRelay(peer))
        .map(({ peer }) => [peer, peers.get(peer) !== undefined]),
    )

  const check = async (): Promise<void> => {
    checking = true
    try {
      const members = peers.all().filter(({ id }) => !isOverRelay(id))
      const isBlocked = await deps.reach.isUnreachable(
        members.map(({ id }) => id),
        worthAnnouncing(deps.addresses(), MAX_TRIED),
      )
      checkAt = clock.monotonic() + (isBlocked === undefined ? UNKNOWN_MS : CHECK_MS)
      if (isBlocked === undefined || dialable === !isBlocked) return
      dialable = !isBlocked
      if (dialable || !settings.serve)
        log.info(dialable ? 'members can dial this node' : 'members cannot dial this node: it looks for a relay')
      else
        log.warn('this node serves as a relay, and there are members that cannot dial it', {
          hint: 'open its port, tell by announce where it can be reached, or leave out discovery.relay.serve',
        })
    } catch (error) {
      log.info('whether members can dial this node was not found out', { error })
    } finally {
      checking = false
    }
  }

  const ranks = new Map<string, number>()
  const rank = (relay: string): number => {
    const known = ranks.get(relay)
    if (known !== undefined) return known
    if (ranks.size >= 1024) ranks.clear()
    const made = deps.chance()
    ranks.set(relay, made)
    return made
  }

  const look = (): void => {
    if (stopped || settings.use === 'never') return
    const serving = relays()
    if (
      settings.use === 'auto' &&
      serving.size > 0 &&
      !checking &&
      checkAt <= clock.monotonic() &&
      peers.all().length > 0
    )
      void check().then(look)
    const isWanted = settings.use === 'always' || dialable === false
    step({ type: 'look', wanted: isWanted ? settings.count : 0, relays: serving, rank })
  }

  let server: RelayServer | undefined
  const serve = async (): Promise<void> => {
    const { startRelayServer } = await import('./relay-server.ts')
    server = await startRelayServer(
      {
        ...deps.server,
        clock,
        timers,
        log,
        connectionOf: (peer) => peers.get(peer)?.chosen,
        onLeft: (fn) => port.onMember(({ id }, change) => change === 'left' && fn(id)),
      },
      settings,
    )
    await deps.advertise(RELAY_RECORD.name, RELAY_RECORD)
  }
  if (settings.serve) await serve()

  const stops: Stop[] = [
    timers.every(LOOK_MS, () => {
      look()
      upgrades.dialDue()
    }),
    port.onMember(({ id }, change) => {
      if (change === 'left' && places.held.has(id)) step({ type: 'lost', relay: id })
      look()
    }),
    directory.onChange(({ agent }) => {
      // The relay may have moved, and one that serves may be new.
      if (places.held.has(agent.peer)) tellChange()
      upgrades.recordChanged(agent.peer)
      if (agent.record.protocols.some(({ name }) => name === RELAY_RECORD.name)) look()
    }),
  ]

  return {
    addresses,
    hasReservation: (relay) => places.held.has(relay) || places.asking === relay,
    isNeeded: (connection) => places.held.has(connection.remotePeer.toString()) || carriesRelayed(connection),
    facts: () => ({
      dialable,
      places: [...places.held.keys()],
      ...counts,
      relayed: relayed().length,
      upgraded: upgrades.count(),
      trials: deps.reach.counts(),
      serving: server?.figures(),
    }),
    async stop() {
      stopped = true
      for (const stop of stops) stop()
      server?.stop()
      await deps.circuits.stop()
    },
  }
}
