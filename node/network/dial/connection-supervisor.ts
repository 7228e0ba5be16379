/**
 * Keeps the mesh connected: libp2p dials nobody by itself and gives up early, so this does.
 *
 * Targets are the join addresses (with or without a peer id, which Noise then proves), what join names resolve to, who was
 * found on the local network, and the peers of the directory that the overlay picks (in a small mesh all of them). Each
 * target is dialled, and dialled again with a jittered exponential backoff; a lost connection is dialled again at once, and
 * a peer that answers no more is reported gone. An address that leads to this node itself is found out and left alone.
 * State: one entry per target, bounded by the directory, the options and what names may bring.
 */
import type { Connection } from '@libp2p/interface'
import { isName, type NameWatch } from '../../../discovery/dns.ts'
import type { Overlay } from '../../../discovery/overlay.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Clock, Log, Stop, Timers } from '../../../protocols/port.ts'
import { isPermanentRefusal } from '../../trust/refusals.ts'
import {
  backoffMs,
  type DialTarget,
  dialTarget,
  type JoinSource,
  joinProblemsOf,
  joinSource,
  peerIn,
  resolveSource,
} from './dial-targets.ts'
import { createDiscoveredPeers, type DiscoveredPeers } from './discovered-peers.ts'

export interface ConnectionSupervisorDeps {
  self: string
  clock: Clock
  timers: Timers
  log: Log
  /** A number from 0 to 1. */
  chance(): number
  /**
   * Dials and returns once the connection is admitted.
   * @param fresh no connection that is open already will do: it was given up
   * @throws SEC001 when it was refused
   */
  dial(addresses: string[], peer: string | undefined, fresh: boolean): Promise<Connection>
  /** This node is stopping: whoever waits for a dial learns that. */
  abortDials(): void
  /** A connection is there, or is being admitted. */
  connected(peer: string): boolean
  /** Addresses that the directory has for a peer; empty when it was forgotten. */
  addressesOf(peer: string): string[]
  /** A known peer cannot be reached any more. */
  unreachable(peer: string): void
  /** Who tells that it listens there, as far as is known. */
  peerAt(address: string): string | undefined
  /** The address that was dialled is one of ours. */
  isSelfDial(error: unknown): boolean
  join: readonly string[]
  /** Starts to ask what the names among the join sources stand for. */
  watchNames(
    names: readonly string[],
    found: (source: string, addresses: string[]) => void,
    failed: (source: string, error: Error) => void,
  ): NameWatch
  /** Who says on the local network that it is there, where this node listens for that. */
  nearby: LocalDiscovery | undefined
  backoffMinMs: number
  backoffMaxMs: number
  overlay: Overlay
}

/** Names peers by what they say of themselves: nothing of it is proven before they are dialled. */
export interface LocalDiscovery {
  start(found: (peer: string, addresses: string[]) => void): void
  /** What a peer said of itself at last; empty where it was not heard. */
  addressesOf(peer: string): readonly string[]
  /** It has asked often enough, and nobody was there. */
  isSilent(): boolean
  stop(): void
}

const TICK_MS = 100
/** Dials of a name's address that fail before the name is asked for again. */
const STALE_AFTER_FAILURES = 2
/** Of two that want each other the higher id waits so long, or up to twice; for a call it dials at once. */
const HIGHER_WAITS_MS = 1_000
/** Dials of a lost peer that fail before it is called gone. */
const GONE_AFTER_FAILURES = 2

/** A peer that is gone is dialled this often before it is forgotten; who comes back dials us as well. */
const FORGET_AFTER_FAILURES = 20
/** Neighbours of a lost peer do not look for it all at once. */
const LOOK_AFTER_MS = 1_000

/** Said no, and will say so again. Who was only late with its membership is busy. */
const isRefusal = (error: unknown): boolean => isParleyError(error, 'SEC001') && error.details.reason !== 'timeout'

/**
 * The failure in a row that a person is told of. A machine that refuses the connection is there and will listen: nodes that
 * start together are there at the second try, after a power cut some seconds later.
 */
const warnAt = (error: Error): number => (error.message.includes('ECONNREFUSED') ? 6 : 2)

export class ConnectionSupervisor {
  readonly #deps: ConnectionSupervisorDeps
  readonly #sources = new Map<string, JoinSource>()
  readonly #discovered: DiscoveredPeers
  readonly #peers = new Map<string, DialTarget>()
  #names: NameWatch | undefined
  #stopTick: Stop = () => {}
  #stopped = false

  constructor(deps: ConnectionSupervisorDeps) {
    this.#deps = deps
    for (const text of deps.join) {
      const source = joinSource(text)
      if (!isName(text)) source.targets.push(dialTarget(peerIn(text), 0, source, text))
      this.#sources.set(text, source)
    }
    this.#discovered = createDiscoveredPeers({
      self: deps.self,
      clock: deps.clock,
      chance: deps.chance,
      isKnown: (peer) => deps.connected(peer) || deps.overlay.has(peer),
    })
    if (deps.nearby !== undefined) this.#sources.set(this.#discovered.source.text, this.#discovered.source)
  }

  #joinTargets(): DialTarget[] {
    return [...this.#sources.values()].flatMap(({ targets }) => targets)
  }

  #resolved(text: string, addresses: string[]): void {
    const source = this.#sources.get(text)
    if (source === undefined) return
    source.unresolved = undefined
    resolveSource(source, addresses, {
      nowMs: this.#deps.clock.monotonic(),
      withinMs: this.#deps.backoffMaxMs,
      chance: this.#deps.chance,
    })
    this.#tick()
  }

  #unresolved(text: string, error: Error): void {
    const source = this.#sources.get(text)
    if (source === undefined) return
    if (source.unresolved === undefined) this.#deps.log.warn(`cannot join ${text}: ${error.message}`, { error })
    source.unresolved = error
  }

  #failed(target: DialTarget, error: Error): void {
    if (this.#deps.isSelfDial(error)) {
      target.peer = this.#deps.self
      return
    }
    target.failures += 1
    const isNews = target.lastError?.message !== error.message
    target.lastError = error
    if (target.source === this.#discovered.source) {
      target.nextAt = this.#deps.clock.monotonic() + backoffMs(target.failures, this.#deps)
      if (this.#discovered.failed(target, isRefusal(error)) === 'dropped')
        this.#deps.log.info(`${target.peer} was found nearby and cannot be joined: ${error.message}`)
      return
    }
    if (target.failures === STALE_AFTER_FAILURES && target.source !== undefined)
      this.#names?.refresh(target.source.text)
    // A refusal does not heal by itself: the longest pause.
    const pause = isRefusal(error) ? this.#deps.backoffMaxMs : backoffMs(target.failures, this.#deps)
    target.nextAt = this.#deps.clock.monotonic() + pause
    const what = target.address ?? target.peer
    // A call that dials on demand tells its caller.
    const kept = target.source !== undefined || this.#peers.get(target.peer ?? '') === target
    if (!kept) return
    if (target.failures === 1 && !isRefusal(error)) this.#deps.log.info(`cannot join ${what} yet: ${error.message}`)
    if (isRefusal(error) ? isNews : target.failures === warnAt(error))
      this.#deps.log.warn(`cannot join ${what}: ${error.message}`, { error })
    if (target.source === undefined && target.peer !== undefined && target.failures >= GONE_AFTER_FAILURES) {
      this.#deps.unreachable(target.peer)
      if (target.failures >= FORGET_AFTER_FAILURES) this.#peers.delete(target.peer)
    }
  }

  /** @returns false where it has no others than before */
  #takeAddresses(target: DialTarget): boolean {
    const known = target.source === undefined ? this.#deps.addressesOf(target.peer ?? '') : []
    if (known.length === 0 || known.join(' ') === target.addresses.join(' ')) return false
    target.addresses = known
    return true
  }

  #attempt(target: DialTarget): Promise<Connection> {
    // Who is behind a join address may be somebody else by now: only peers that were named are dialled by their id.
    const peer = target.address === undefined ? target.peer : undefined
    const fresh = target.peer !== undefined && !this.#deps.connected(target.peer)
    return this.#deps.dial(target.addresses, peer, fresh)
  }

  #dial(target: DialTarget): Promise<Connection> {
    if (target.dialling !== undefined) return target.dialling
    this.#takeAddresses(target)
    const run = async (): Promise<Connection> => {
      try {
        const connection = await this.#attempt(target).catch((error: unknown) => {
          // Others may have come while it was dialled, and whoever called then must not fail for the old ones.
          if (this.#stopped || !this.#takeAddresses(target)) throw error
          return this.#attempt(target)
        })
        target.peer = connection.remotePeer.toString()
        target.failures = 0
        target.lastError = undefined
        // It was looked for, and is no pick.
        if (target.source === undefined && !this.#deps.overlay.picks().has(target.peer)) this.#peers.delete(target.peer)
        if (target.source === this.#discovered.source) this.#discovered.drop(target)
        return connection
      } catch (error) {
        this.#failed(target, error instanceof Error ? error : new Error(String(error)))
        throw error
      } finally {
        target.dialling = undefined
      }
    }
    target.dialling = run()
    target.dialling.catch(() => {})
    return target.dialling
  }

  /** Somebody whom this join source named is connected. */
  #isInMesh(source: JoinSource): boolean {
    return source.targets.some(
      ({ peer }) => peer !== undefined && peer !== this.#deps.self && this.#deps.connected(peer),
    )
  }

  #due(target: DialTarget, now: number): boolean {
    if (target.dialling !== undefined || target.nextAt > now) return false
    if (target.spreadAt > now && target.source !== undefined && this.#isInMesh(target.source)) return false
    if (target.peer === undefined && target.address !== undefined) target.peer = this.#deps.peerAt(target.address)
    if (target.peer === this.#deps.self) return false
    if (target.peer === undefined) return true
    // In a large mesh the join addresses are the way in, and after that nodes like others.
    const spared = target.source !== undefined && this.#deps.overlay.sparse() && this.#deps.overlay.has(target.peer)
    return !spared && !this.#deps.connected(target.peer)
  }

  #found(peer: string, addresses: string[]): void {
    if (!this.#stopped && this.#discovered.add(peer, addresses)) this.#tick()
  }

  #tick(): void {
    if (this.#stopped) return
    this.#discovered.prune()
    const now = this.#deps.clock.monotonic()
    for (const { targets } of this.#sources.values())
      for (const target of targets) if (this.#due(target, now)) void this.#dial(target).catch(() => {})
    for (const target of this.#peers.values()) if (this.#due(target, now)) void this.#dial(target).catch(() => {})
  }

  /** Makes targets of the picks, and lets go of those that are none any more. */
  #retarget(): void {
    const picks = this.#deps.overlay.picks()
    // Who is gone is in no overlay, and may come back.
    for (const peer of this.#peers.keys())
      if (!picks.has(peer) && this.#deps.overlay.has(peer)) this.#peers.delete(peer)
    const fresh = [...picks].filter((peer) => !this.#peers.has(peer))
    for (const peer of fresh) {
      // The higher id waits, also when the machine is busy: most pairs then make one connection, not two.
      const waits = this.#deps.self > peer && !this.#deps.overlay.sparse()
      const pause = waits ? HIGHER_WAITS_MS * (1 + this.#deps.chance()) : 0
      this.#peers.set(peer, dialTarget(peer, this.#deps.clock.monotonic() + pause))
    }
    if (fresh.length > 0) this.#tick()
  }

  start(): void {
    this.#stopTick = this.#deps.timers.every(TICK_MS, () => this.#tick())
    this.#names = this.#deps.watchNames(
      [...this.#sources.keys()].filter(isName),
      (text, addresses) => this.#resolved(text, addresses),
      (text, error) => this.#unresolved(text, error),
    )
    this.#deps.nearby?.start((peer, addresses) => this.#found(peer, addresses))
    this.#tick()
  }

  /** A peer that the directory named, with an address. */
  addPeer(peer: string): void {
    if (this.#deps.overlay.add(peer)) this.#retarget()
  }

  /** It cannot be reached: another one is picked in its place, and it is dialled for a while longer. */
  markUnreachable(peer: string): void {
    this.#deps.overlay.delete(peer)
    this.#retarget()
  }

  /** It left on purpose, or its record ran out: no more dials. */
  removePeer(peer: string): void {
    this.#deps.overlay.delete(peer)
    this.#peers.delete(peer)
    this.#retarget()
  }

  /** The last connection to a peer is gone. */
  connectionLost(peer: string): void {
    if (this.#stopped) return
    const target = this.#peers.get(peer)
    if (target === undefined) {
      // Nobody else may be looking: is it still there? A connection that nobody needs is given up again.
      if (this.#deps.overlay.has(peer))
        this.#peers.set(peer, dialTarget(peer, this.#deps.clock.monotonic() + LOOK_AFTER_MS * this.#deps.chance()))
      return
    }
    target.failures = 0
    target.nextAt =
      this.#deps.clock.monotonic() + (this.#deps.self < peer ? 0 : this.#deps.backoffMinMs * this.#deps.chance())
    this.#tick()
  }

  /** Dials now, whatever the backoff says; shared with a dial under way. */
  connect(peer: string): Promise<Connection> {
    const target = this.#peers.get(peer) ?? this.#joinTargets().find((joined) => joined.peer === peer)
    if (target !== undefined) return this.#dial(target)
    // No pick of the overlay (a mesh larger than limits.maxPeersFullMesh): dialled on demand, and forgotten again.
    return this.#dial(dialTarget(peer, 0))
  }

  /** Every join source is known to lead to this node and nobody else: it is the first of its mesh. */
  isAlone(): boolean {
    return (
      this.#sources.size > 0 &&
      [...this.#sources.values()].every((source) =>
        source === this.#discovered.source
          ? source.targets.length === 0 && this.#deps.nearby?.isSilent() === true
          : source.targets.length > 0 && source.targets.every(({ peer }) => peer === this.#deps.self),
      )
    )
  }

  /** A refusal (SEC001) of a join source, when all of them refused: one that may pass, if there is one. */
  refusedEverywhere(): ParleyError | undefined {
    // Somebody else may still be found.
    if (this.#deps.nearby?.isSilent() === false) return undefined
    const errors = this.#joinTargets()
      .filter(({ peer }) => peer !== this.#deps.self)
      .map(({ lastError }) => lastError)
    if (errors.length === 0 || !errors.every(isRefusal)) return undefined
    const told = errors.find((error) => !isPermanentRefusal(error)) ?? errors[0]
    return told instanceof ParleyError ? told : undefined
  }

  /** What came of each join source so far, a sentence each. */
  joinProblems(): string[] {
    return joinProblemsOf([...this.#sources.values()], this.#deps.self)
  }

  stop(): void {
    this.#stopped = true
    this.#stopTick()
    this.#names?.stop()
    this.#deps.nearby?.stop()
    this.#deps.abortDials()
  }
}

export const createConnectionSupervisor = (deps: ConnectionSupervisorDeps): ConnectionSupervisor =>
  new ConnectionSupervisor(deps)
