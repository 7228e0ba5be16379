/**
 * What the coordinator announces to the whole mesh, and how the others hear it: the event `coordination.epoch`.
 *
 * It is published when an epoch begins and when it ends, each 100 ms in which something was decided or the members changed,
 * a second after the last news for those that missed it, and then every 5 s: in a mesh where nothing is decided it costs
 * next to nothing. That a coordinator died is known from the membership, not from its silence.
 * State: what was announced last and when, and the subscription.
 */
import type { Proofs, ShownProof } from '../consensus/proof/proof-api.ts'
import type { Events, Subscription } from '../events/api.ts'
import type { Port } from '../port.ts'
import { epochEvent } from './contract.ts'
import { LEADER_SILENT_MS, type LeaderTracker } from './leader-tracker.ts'

/** News are announced once more after this time. */
const AGAIN_MS = 1_000
const EVERY_MS = LEADER_SILENT_MS / 3
/** An epoch is announced when it is proven, and after this time in any case: there may be some who believe it. */
const UNPROVEN_MS = 1_000

export interface LeaderAnnouncement {
  readonly meshId: string
  readonly epoch: number
  readonly version: number
  /** Peer ids of the voters and learners. */
  readonly seats: readonly string[]
}

export interface LeaderAnnouncements {
  /** Of the coordinator, each 100 ms: announces what is due. */
  tick(now: LeaderAnnouncement): void
  /** This node coordinates no more. */
  announceEnd(last: LeaderAnnouncement): void
  /** Hears the others, once the mesh is founded. */
  subscribe(): void
  stop(): Promise<void>
}

const wireProof = ({ digest, head, proofs }: ShownProof) => ({ digest, head, ...(proofs && { proofs: [...proofs] }) })

export const createLeaderAnnouncements = (
  port: Pick<Port, 'self' | 'clock' | 'log'>,
  events: Pick<Events, 'publish' | 'subscribe'>,
  leaderTracker: Pick<LeaderTracker, 'onReport' | 'markGone' | 'find' | 'stopped'>,
  proofs?: Pick<Proofs, 'shown' | 'isEnforced'>,
): LeaderAnnouncements => {
  let announcedAt = Number.NEGATIVE_INFINITY
  let lastNews = ''
  /** The news were announced again. */
  let isSettled = false
  let isPublishing = false
  /** The proof that was announced last, in full or by its name; in full twice, so that few have to ask for it. */
  let announcedProof: ShownProof | undefined
  let isProofAnnouncedOnce = false
  let since = { epoch: 0, at: Number.NEGATIVE_INFINITY }
  const shown = (epoch: number, isFull: boolean): ShownProof | undefined => proofs?.shown(epoch, isFull)
  let subscription: Promise<Subscription<unknown>> | undefined
  let stopped = false

  const publish = async (
    { meshId, epoch, version, seats }: LeaderAnnouncement,
    over: boolean,
    proof: ShownProof | undefined,
  ): Promise<void> => {
    const data = {
      mesh_id: meshId,
      epoch,
      leader: port.self.id,
      version,
      seats: [...seats],
      timestamp: port.clock.now(),
      ...(over && { over }),
      ...(proof !== undefined && { proof: wireProof(proof) }),
    }
    await events.publish(epochEvent, data, { ttlMs: LEADER_SILENT_MS })
  }

  return {
    tick(now) {
      if (isPublishing) return
      if (now.epoch !== since.epoch) since = { epoch: now.epoch, at: port.clock.monotonic() }
      const isEarly = port.clock.monotonic() - since.at < UNPROVEN_MS
      if (isEarly && proofs?.isEnforced() === true && shown(now.epoch, false) === undefined) return
      const agoMs = port.clock.monotonic() - announcedAt
      const named = shown(now.epoch, false)
      const news = [now.epoch, now.version, named?.digest, named?.head, ...now.seats].join()
      const isNews = news !== lastNews
      if (!isNews && agoMs < (isSettled ? EVERY_MS : AGAIN_MS)) return
      isSettled = !isNews
      announcedAt = port.clock.monotonic()
      lastNews = news
      isPublishing = true
      const isProvenNews =
        named !== undefined && (named.digest !== announcedProof?.digest || named.head !== announcedProof.head)
      const isFull = isProvenNews || isProofAnnouncedOnce
      isProofAnnouncedOnce = isProvenNews
      announcedProof = named
      publish(now, false, isFull ? shown(now.epoch, true) : named)
        // The next announcement says the same.
        .catch(() => {})
        .finally(() => {
          isPublishing = false
        })
    },
    announceEnd(last) {
      // Where it begins again in the same epoch, that is news.
      lastNews = ''
      // Nobody needs it who hears of the next epoch.
      publish(last, true, shown(last.epoch, false)).catch(() => {})
    },
    // A mesh that nobody founded has no such topic.
    subscribe() {
      if (subscription !== undefined || stopped) return
      subscription = events.subscribe(epochEvent, ({ data, source }) => {
        // Nobody speaks for another node.
        if (source !== data.leader || source === port.self.id) return
        const { mesh_id: meshId, epoch, leader, version, seats, over, proof } = data
        leaderTracker.onReport({ meshId, epoch, leader, version, seats }, source, proof)
        if (over === true) leaderTracker.markGone(leader, epoch)
      })
      subscription.catch((error: unknown) => {
        subscription = undefined
        port.log.warn('the coordinator cannot be heard', { error })
      })
      // Whoever comes later hears of it in time, or asks.
      void leaderTracker.find(leaderTracker.stopped).catch(() => {})
    },
    async stop() {
      stopped = true
      await (await subscription?.catch(() => undefined))?.stop()
    },
  }
}
