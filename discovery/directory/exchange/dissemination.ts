/**
 * The way out of the own record, and of what others asked for. Failures are counted, and repaired by the next
 * comparison of digests.
 *
 * State: whether the own record was published to nobody, as happens before the first neighbour is there.
 */
import type { Member, Port } from '../../../protocols/port.ts'
import { fraction } from '../../two-choices.ts'
import type { DirectoryCounts } from '../directory-counts.ts'
import { directoryProtocol, inBatches, PRESENCE_TOPIC } from '../protocol.ts'
import { packRecord, type SignedRecord } from '../record/agent-record.ts'
import type { WriteReason } from '../record/own-record.ts'
import type { AgedRecord } from '../tables/digest.ts'

/** `count` of them at most, a different part each time. */
export const randomSubset = (members: readonly Member[], count: number, random: () => number): Member[] => {
  if (members.length <= count) return [...members]
  const start = Math.floor(random() * members.length)
  return [...members.slice(start), ...members.slice(0, start)].slice(0, count)
}

export const createDissemination = (
  port: Pick<Port, 'gossip' | 'random' | 'members' | 'to'>,
  counts: DirectoryCounts,
  maxPushPeers: number,
  signal: AbortSignal,
) => {
  const push = async (peer: string, records: readonly AgedRecord[]): Promise<void> => {
    for (const batch of inBatches(records)) {
      try {
        await port.to(peer, directoryProtocol).push({ records: batch }, { signal })
        counts.sent.add('push ok')
      } catch {
        counts.sent.add('push failed')
        return
      }
    }
  }

  /**
   * A record is pushed one-way. The last one must be heard before the connection goes, so an answer is asked for behind it:
   * what was sent before on the link has been read then.
   */
  const heard = async (peer: string): Promise<void> => {
    try {
      await port.to(peer, directoryProtocol).sync({ digest: new Uint8Array(0), room: 0 }, { signal })
      counts.sent.add('sync ok')
    } catch {
      // Who does not answer hears it from others, or finds out by dialling.
      counts.sent.add('sync failed')
    }
  }

  let isUnheard = true
  const publish = async (signed: SignedRecord): Promise<void> => {
    isUnheard = false
    try {
      isUnheard = (await port.gossip.publish(PRESENCE_TOPIC, packRecord(signed))) === 0
      counts.sent.add('gossip ok')
    } catch {
      isUnheard = true
      counts.sent.add('gossip failed')
    }
  }

  /**
   * An introduction is published only, a change or a farewell is pushed as well. Never rejects.
   */
  const spread = async (signed: SignedRecord, reason: WriteReason): Promise<void> => {
    const random = () => fraction(port.random(4))
    const nearby = reason === 'introduce' ? [] : randomSubset(port.members(), maxPushPeers, random)
    const tell = async (peer: string): Promise<void> => {
      await push(peer, [{ ...signed, ageMs: 0 }])
      if (reason === 'leave') await heard(peer)
    }
    await Promise.all([...nearby.map(({ id }) => tell(id)), publish(signed)])
  }

  return {
    push,
    spread,
    /** True when the own record reached nobody by gossip, and somebody is there now who would hear it. */
    isAwaited: (): boolean => isUnheard && port.gossip.subscribers(PRESENCE_TOPIC).length > 0,
  }
}
