/**
 * What this node dials: the rules (dial-rules.ts) and the budget (dial-budget.ts) with what a running node knows: which
 * addresses its operator named, and which peers run on this machine. libp2p's gater asks it for each address, and so does
 * each dial that goes past the gater, so nothing is dialled without it.
 *
 * A peer runs on this machine where it was connected, as a member, over loopback or one of this machine's own addresses.
 * State: the operator's addresses, those peers (at most `MAX_LOCAL`), the budget, counts.
 */
import { networkInterfaces } from 'node:os'
import type { Connection } from '@libp2p/interface'
import type { NameLookup } from '../../../discovery/dns.ts'
import { isParleyError, ParleyError } from '../../../protocols/errors.ts'
import type { Clock, Log, Metrics } from '../../../protocols/port.ts'
import type { DialSettings } from '../../options/dial-options.ts'
import { parseNetwork } from '../addresses/ip-networks.ts'
import { isLoopback, isRelayed, peerAtEnd } from '../addresses/multiaddresses.ts'
import { type BudgetShortage, createDialBudget } from './dial-budget.ts'
import { addressRefusal, type DialContext, type DialRefusal, ipRefusal, namesIn } from './dial-rules.ts'

export type DialRefusalReason = DialRefusal | BudgetShortage

const MAX_LOCAL = 1024
const INTERFACES_MS = 10_000
/** A peer that is refused again and again is told of once in so long. */
const LOG_MS = 60_000

export interface DialPolicyDeps {
  readonly clock: Clock
  readonly log: Log
  readonly settings: DialSettings
  /** What the operator told this node of itself and of others. */
  readonly operator: {
    readonly listen: readonly string[]
    readonly announce: readonly string[]
    readonly join: readonly string[]
  }
  readonly lookup: Pick<NameLookup, 'v4' | 'v6'>
  /** On whose word this node dials the peer; none where that is not known. */
  announcers(peer: string): readonly string[]
  readonly metrics: Pick<Metrics, 'counter'>
}

export interface DialPolicy {
  /** What a name of `join` stands for now. */
  named(source: string, addresses: readonly string[]): void
  /** Of the addresses that a peer announces, those that may be dialled. @throws COM002 where none may */
  choose(addresses: readonly string[], peer: string): string[]
  /** One dial of one address, which ends with the peer's id where that is known. @throws COM002 where it must not be made */
  check(address: string): Promise<void>
  /** For libp2p's gater. */
  denies(address: string): Promise<boolean>
  /** Its peer is a member. */
  admitted(connection: Connection): void
  refused(): Readonly<Record<string, number>>
}

const WORDS: Readonly<Record<DialRefusalReason, string>> = {
  denied: 'a network of dial.deny holds it',
  'link-local': 'it is link-local',
  metadata: 'it is the metadata service of a cloud',
  loopback: 'it is the loopback of another machine',
  unspecified: 'it is the unspecified address',
  multicast: 'it is a multicast address',
  reserved: 'it is a reserved address',
  name: 'it is a name that a peer announces',
  form: 'it is no address that this node dials',
  nested: 'it leads through more than one relay',
  author: 'it leads to another peer',
  budget: 'its peer was dialled too often in vain',
  announcer: 'who announced its peer announced too many that are not there',
}
const HINTS: Partial<Readonly<Record<DialRefusalReason, string>>> = {
  denied: 'change dial.deny, or allow a smaller network in dial.allow',
  name: 'set dial.names to true, or have the peer announce IP addresses',
  budget: 'it is dialled again after a while; is the peer up, and does it announce the addresses where it listens?',
  announcer: 'it is dialled again after a while, or once a neighbour that is connected to it says so',
  form: 'have the peer announce addresses such as /ip4/192.0.2.1/tcp/8081',
}

const hostOf = (address: string): string => /^\/ip[46]\/([^/]+)/.exec(address)?.[1] ?? ''
const withoutPeer = (address: string): string => address.replace(/\/p2p\/[^/]+$/, '')

const refusal = (address: string, why: DialRefusalReason): ParleyError =>
  new ParleyError('COM002', `${address} is not dialled: ${WORDS[why]}`, {
    hint: HINTS[why] ?? 'allow its network in dial.allow if it is meant, or have the peer announce another address',
    details: { sent: false, reason: why },
  })

/** The dial was not made: this node does not dial there, or not now. */
export const isDialRefusal = (error: unknown): boolean =>
  isParleyError(error, 'COM002') && typeof error.details.reason === 'string' && error.details.reason in WORDS

export const createDialPolicy = (deps: DialPolicyDeps): DialPolicy => {
  const { clock, log, settings, operator, lookup, metrics } = deps
  const networks = (texts: readonly string[]) => texts.flatMap((text) => parseNetwork(text) ?? [])
  const rules = { allow: networks(settings.allow), deny: networks(settings.deny), names: settings.names }
  /** Of the operator's names: what each stands for. */
  const resolved = new Map<string, ReadonlySet<string>>()
  const own = new Set(operator.join.map(withoutPeer))
  const isLocalOnly = [operator.listen, operator.announce, operator.join].flat().every(isLoopback)
  const local = new Set<string>()
  const budget = createDialBudget(clock)
  const counts: Record<string, number> = {}
  const counted = metrics.counter('dials_refused_total', 'Dials that were not made, by reason', ['reason'])
  const said = new Map<string, number>()
  let interfaces: { atMs: number; addresses: ReadonlySet<string> } | undefined

  const isOwnInterface = (host: string): boolean => {
    const now = clock.monotonic()
    if (interfaces === undefined || now - interfaces.atMs > INTERFACES_MS) {
      const addresses = Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address))
      interfaces = { atMs: now, addresses: new Set(addresses) }
    }
    return interfaces.addresses.has(host)
  }

  const contextOf = (address: string, announcer: string | undefined): DialContext => {
    const bare = withoutPeer(address)
    const isOwn = own.has(bare) || [...resolved.values()].some((addresses) => addresses.has(bare))
    return { rules, isOwn, isSameMachine: isLocalOnly || (announcer !== undefined && local.has(announcer)), announcer }
  }

  const count = (address: string, why: DialRefusalReason, peer: string | undefined): void => {
    counts[why] = (counts[why] ?? 0) + 1
    counted({ reason: why })
    const now = clock.monotonic()
    const key = peer ?? address
    if (now - (said.get(key) ?? Number.NEGATIVE_INFINITY) < LOG_MS) return
    if (said.size >= MAX_LOCAL) said.clear()
    said.set(key, now)
    log.info(refusal(address, why).message, { ...(peer !== undefined && { peer }) })
  }

  /** What a name stands for may be dialled, all of it. */
  const checkNames = async (address: string, context: DialContext): Promise<DialRefusal | undefined> => {
    if (context.isOwn && rules.deny.length === 0) return undefined
    for (const name of namesIn(address)) {
      const answers = await Promise.allSettled([lookup.v4(name), lookup.v6(name)])
      for (const ip of answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))) {
        const why = ipRefusal(ip, context)
        if (why !== undefined) return why
      }
    }
    return undefined
  }

  const judge = async (address: string): Promise<DialRefusalReason | undefined> => {
    const peer = peerAtEnd(address)
    const context = contextOf(address, peer)
    const why = addressRefusal(address, context) ?? (await checkNames(address, context))
    if (why !== undefined || context.isOwn || peer === undefined) return why
    return budget.spend(peer, deps.announcers(peer))
  }

  const check = async (address: string): Promise<void> => {
    const why = await judge(address)
    if (why === undefined) return
    count(address, why, peerAtEnd(address))
    throw refusal(address, why)
  }

  return {
    check,
    named: (source, addresses) => void resolved.set(source, new Set(addresses)),
    choose(addresses, peer) {
      const judged = addresses.map((address) => ({ address, context: contextOf(address, peer) }))
      const why = judged.map(({ address, context }) => addressRefusal(address, context))
      for (const [at, one] of why.entries()) if (one !== undefined) count(addresses[at] ?? '', one, peer)
      const chosen = judged.filter((_, at) => why[at] === undefined)
      const [first] = addresses
      if (first !== undefined && chosen.length === 0) throw refusal(first, why[0] ?? 'form')
      const isFree = first === undefined || chosen.some(({ context }) => context.isOwn)
      const lacking = isFree ? undefined : budget.shortage(peer, deps.announcers(peer))
      if (first === undefined || lacking === undefined) return chosen.map(({ address }) => address)
      count(first, lacking, peer)
      throw refusal(first, lacking)
    },
    async denies(address) {
      try {
        await check(address)
        return false
      } catch {
        // It was counted, and whoever dials is told that nothing is left.
        return true
      }
    },
    admitted({ remoteAddr, remotePeer, direction }) {
      const peer = remotePeer.toString()
      if (direction === 'outbound') budget.succeeded(peer)
      const address = remoteAddr.toString()
      if (isRelayed(address) || !(isLoopback(address) || isOwnInterface(hostOf(address)))) return
      local.delete(peer)
      local.add(peer)
      const [oldest] = local
      if (local.size > MAX_LOCAL && oldest !== undefined) local.delete(oldest)
    },
    refused: () => counts,
  }
}
