/**
 * Relays, in a running node: serves as one, keeps reservations at others where this node cannot be dialled, tells the addresses
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
import { createDirectUpgrades, type DirectUpgrades } from './direct-upgrade.ts'
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

export class RelayClient {
  readonly #deps: RelayClientDeps
  readonly #settings: RelaySettings
  readonly #self: string
  #reservations = noReservations
  #dialable: boolean | undefined
  #checkAt = Number.NEGATIVE_INFINITY
  #checking = false
  #told = ''
  #stopped = false
  readonly #counts = { granted: 0, refused: 0 }
  readonly #upgrades: DirectUpgrades
  readonly #ranks = new Map<string, number>()
  #server: RelayServer | undefined
  #stops: Stop[] = []

  constructor(deps: RelayClientDeps, settings: RelaySettings) {
    this.#deps = deps
    this.#settings = settings
    this.#self = deps.port.self.id
    this.#upgrades = createDirectUpgrades({
      clock: deps.clock,
      timers: deps.timers,
      chance: deps.chance,
      relayed: () => this.#relayed(),
      addressesOf: (peer) => deps.directory.get(peer)?.record.addresses ?? [],
      dial: deps.dial,
      pauseMs: deps.upgradeMs,
    })
  }

  /** Serves where it is told to, and looks for relays from now on. */
  async start(): Promise<void> {
    const { timers, port, directory } = this.#deps
    if (this.#settings.serve) await this.#serve()
    this.#stops = [
      timers.every(LOOK_MS, () => {
        this.#look()
        this.#upgrades.dialDue()
      }),
      port.onMember(({ id }, change) => {
        if (change === 'left' && this.#reservations.held.has(id)) this.#step({ type: 'lost', relay: id })
        this.#look()
      }),
      directory.onChange(({ agent }) => {
        // The relay may have moved, and one that serves may be new.
        if (this.#reservations.held.has(agent.peer)) this.#tellChange()
        this.#upgrades.recordChanged(agent.peer)
        if (agent.record.protocols.some(({ name }) => name === RELAY_RECORD.name)) this.#look()
      }).stop,
    ]
  }

  #isOverRelay(peer: string): boolean {
    const chosen = this.#deps.peers.get(peer)?.chosen
    return chosen !== undefined && isRelayed(chosen.remoteAddr.toString())
  }

  #relayed(): string[] {
    return this.#deps.peers.all().flatMap(({ id }) => (this.#isOverRelay(id) ? [id] : []))
  }

  /** Those that lead through relays at which this node has a place. */
  addresses(): string[] {
    return [...this.#reservations.held.keys()].flatMap((relay) =>
      (this.#deps.directory.get(relay)?.record.addresses ?? [])
        .filter((address) => !isRelayed(address))
        .slice(0, MAX_TOLD)
        .map((address) => `${endingWith(address, relay)}/p2p-circuit/p2p/${this.#self}`),
    )
  }

  #tellChange(): void {
    const now = this.addresses().join(' ')
    if (now === this.#told || this.#stopped) return
    this.#told = now
    this.#deps.changed()
  }

  async #ask(relay: string): Promise<void> {
    try {
      await this.#deps.circuits.listen()
      if (this.#deps.peers.get(relay) === undefined) await this.#deps.connect(relay)
      const until = await this.#deps.circuits.reserve(relay)
      if (!this.#reservations.held.has(relay)) {
        this.#counts.granted += 1
        this.#deps.log.info('this node can be reached through a relay', { relay })
      }
      // The relay's clock may differ from this one's by any amount.
      this.#step({
        type: 'granted',
        relay,
        forMs: Math.min(RESERVATION_MS, Math.max(LEAST_PLACE_MS, until - this.#deps.clock.now())),
      })
    } catch (error) {
      this.#counts.refused += 1
      this.#deps.log.warn(error instanceof Error ? error.message : String(error), {
        relay,
        ...(error instanceof ParleyError && { hint: error.hint }),
      })
      this.#step({ type: 'refused', relay })
    }
    if (!this.#stopped) this.#look()
  }

  #step(input: ReservationsInput): void {
    const next = stepReservations(this.#reservations, input, this.#deps.clock.monotonic())
    this.#reservations = next.state
    if (next.ask !== undefined) void this.#ask(next.ask.relay)
    this.#tellChange()
  }

  #relays(): Map<string, boolean> {
    return new Map(
      this.#deps.directory
        .offers(RELAY_RECORD.name, 1)
        .filter(({ peer }) => peer !== this.#self && !this.#isOverRelay(peer))
        .map(({ peer }) => [peer, this.#deps.peers.get(peer) !== undefined]),
    )
  }

  async #check(): Promise<void> {
    this.#checking = true
    try {
      const members = this.#deps.peers.all().filter(({ id }) => !this.#isOverRelay(id))
      const isBlocked = await this.#deps.reach.isUnreachable(
        members.map(({ id }) => id),
        worthAnnouncing(this.#deps.addresses(), MAX_TRIED),
      )
      this.#checkAt = this.#deps.clock.monotonic() + (isBlocked === undefined ? UNKNOWN_MS : CHECK_MS)
      if (isBlocked === undefined || this.#dialable === !isBlocked) return
      this.#dialable = !isBlocked
      if (this.#dialable || !this.#settings.serve)
        this.#deps.log.info(
          this.#dialable ? 'members can dial this node' : 'members cannot dial this node: it looks for a relay',
        )
      else
        this.#deps.log.warn('this node serves as a relay, and there are members that cannot dial it', {
          hint: 'open its port, tell by announce where it can be reached, or leave out discovery.relay.serve',
        })
    } catch (error) {
      this.#deps.log.info('whether members can dial this node was not found out', { error })
    } finally {
      this.#checking = false
    }
  }

  #rank(relay: string): number {
    const known = this.#ranks.get(relay)
    if (known !== undefined) return known
    if (this.#ranks.size >= 1024) this.#ranks.clear()
    const made = this.#deps.chance()
    this.#ranks.set(relay, made)
    return made
  }

  #look(): void {
    if (this.#stopped || this.#settings.use === 'never') return
    const serving = this.#relays()
    if (
      this.#settings.use === 'auto' &&
      serving.size > 0 &&
      !this.#checking &&
      this.#checkAt <= this.#deps.clock.monotonic() &&
      this.#deps.peers.all().length > 0
    )
      void this.#check().then(() => this.#look())
    const isWanted = this.#settings.use === 'always' || this.#dialable === false
    this.#step({
      type: 'look',
      wanted: isWanted ? this.#settings.count : 0,
      relays: serving,
      rank: (relay) => this.#rank(relay),
    })
  }

  async #serve(): Promise<void> {
    const { startRelayServer } = await import('./relay-server.ts')
    this.#server = await startRelayServer(
      {
        ...this.#deps.server,
        clock: this.#deps.clock,
        timers: this.#deps.timers,
        log: this.#deps.log,
        connectionOf: (peer) => this.#deps.peers.get(peer)?.chosen,
        onLeft: (fn) => this.#deps.port.onMember(({ id }, change) => change === 'left' && fn(id)),
      },
      this.#settings,
    )
    await this.#deps.advertise(RELAY_RECORD.name, RELAY_RECORD)
  }

  hasReservation(relay: string): boolean {
    return this.#reservations.held.has(relay) || this.#reservations.asking === relay
  }

  /** It is needed for a place, or carries somebody. */
  isNeeded(connection: Connection): boolean {
    return this.#reservations.held.has(connection.remotePeer.toString()) || carriesRelayed(connection)
  }

  facts(): RelayFacts {
    return {
      dialable: this.#dialable,
      places: [...this.#reservations.held.keys()],
      ...this.#counts,
      relayed: this.#relayed().length,
      upgraded: this.#upgrades.count(),
      trials: this.#deps.reach.counts(),
      serving: this.#server?.figures(),
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const stop of this.#stops) stop()
    this.#server?.stop()
    await this.#deps.circuits.stop()
  }
}

export const startRelayClient = async (deps: RelayClientDeps, settings: RelaySettings): Promise<RelayClient> => {
  const client = new RelayClient(deps, settings)
  await client.start()
  return client
}
