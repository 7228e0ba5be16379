/**
 * Calls of this node: whom they go to, how they are tried again, and the typed clients over that.
 * State: how often calls were tried again and went elsewhere; that of what it makes.
 */
import type { Sought } from '../../discovery/directory/lookup.ts'
import type { Candidate } from '../../discovery/directory/tables/offer-index.ts'
import { pick } from '../../discovery/two-choices.ts'
import { abortable } from '../../protocols/async.ts'
import { createRecoveries } from '../../protocols/delivery/recovery/error-recovery.ts'
import { PeerBreakers } from '../../protocols/delivery/recovery/peer-breakers.ts'
import type { Startup } from '../lifecycle/startup.ts'
import type { NetworkExtensions } from '../network/extensions.ts'
import type { Routing } from '../network/routing.ts'
import { looksForOthers } from '../options/discovery-options.ts'
import { chance, clock, timers } from '../platform/platform.ts'
import { SEEK_MS } from './call-address.ts'
import { createClients } from './clients.ts'
import { createLoadBalancer } from './load-balancer.ts'
import { createMethodCodecs } from './method-codecs.ts'
import { recordOwnCalls } from './recorded-calls.ts'
import { createRetryingCall } from './retrying-call.ts'

const NOBODY: readonly Candidate[] = []

/** Whom calls may go to, as the directory and the peers themselves say. */
const createCandidates = (
  { options, identity }: Startup,
  extensions: NetworkExtensions,
  { links, slots }: Pick<Routing, 'links' | 'slots'>,
) => ({
  /** Everyone who offers it, this node included. */
  of(protocol: string, major: number): readonly Candidate[] {
    const others = extensions.directory.current?.offers(protocol, major) ?? NOBODY
    const own = extensions.ownCandidate.current(protocol, major)
    return own === undefined ? others : [...others, own]
  },
  /** Once the directory was in step with any peer, a few neighbours are asked: an offer may be younger than that. */
  async seek(sought: Sought, timeoutMs: number): Promise<void> {
    const directory = extensions.directory.current
    if (!looksForOthers(options) || directory === undefined) return
    // What is left of a call is no whole number, which such a signal needs.
    const signal = AbortSignal.timeout(Math.ceil(timeoutMs))
    const search = directory.firstSync({ signal }).then(() => abortable(directory.seek(sought), signal))
    await search.catch(() => {})
  },
  loadOf(peer: string): number {
    if (peer === identity.id) return slots.active() + slots.queued()
    const said = extensions.peerLoad.current(peer)
    return links.inFlight(peer) + (said === undefined ? 0 : (said.load + said.queueLength) / 1000)
  },
})

export const createMeshCalls = (
  startup: Startup,
  extensions: NetworkExtensions,
  { links, router, slots, callMetrics }: Routing,
) => {
  const { options, identity, log, metrics } = startup
  const counts = { retries: 0, failovers: 0 }
  const breakers = new PeerBreakers(options.delivery.breaker)
  const recoveries = createRecoveries({
    clock,
    log,
    metrics,
    onDeadLetter: (letter) => extensions.onDeadLetter.current(letter),
  })
  const invoke = createRetryingCall({
    clock,
    timers,
    links,
    chance,
    done: callMetrics.called,
    retried: () => {
      counts.retries += 1
    },
    breakers,
    isExempt: (peer, protocolId) => peer === identity.id || router.isOwn(protocolId),
    recoveries,
  })
  const { of: candidates, seek, loadOf } = createCandidates(startup, extensions, { links, slots })
  const calls = createLoadBalancer({
    clock,
    timers,
    invoke: recordOwnCalls(invoke, (call) => extensions.recordCall.current(call)),
    chance,
    candidates,
    agents: () => extensions.directory.current?.agents() ?? [],
    loadOf,
    seek,
    failedOver: () => {
      counts.failovers += 1
    },
    breakers,
    recoveries,
  })
  const codecs = createMethodCodecs(
    () => options.timings.callTimeoutMs,
    (label, rewriting) => {
      if (rewriting.outcome === 'recovered') return recoveries.ended('MSG002', 'recovered')
      const { error, recoveryError } = rewriting
      const letter = { to: undefined, label, payload: undefined, conversationId: undefined }
      return recoveries.failed({ ...letter, code: 'MSG002', error, recoveryError })
    },
  )

  /** One that offers all of these protocols and was not tried; one that is left alone only where there is no other. */
  const choose = async (protocols: readonly string[], major: number, tried: ReadonlySet<string>) => {
    const [first = '', ...more] = protocols
    const found = (): Candidate[] =>
      candidates(first, major).filter(({ peer }) =>
        more.every((name) => candidates(name, major).some((one) => one.peer === peer)),
      )
    if (found().length === 0) await seek({ protocol: first, major }, SEEK_MS)
    const all = found().filter(({ peer }) => !tried.has(peer))
    const closed = all.filter(({ peer }) => !breakers.isOpen(peer, clock.monotonic()))
    return pick(closed.length === 0 ? all : closed, loadOf, chance)?.peer
  }
  return { breakers, calls, clients: createClients(calls, codecs), codecs, choose, loadOf, callCounts: counts }
}
