/** Steps of a start: what agents send each other beside calls. Events, answers for third parties, durable messages. */
import type { Directory } from '../../discovery/directory/directory.ts'
import { failedCallOf } from '../../protocols/delivery/recovery/error-recovery.ts'
import type { RowStore } from '../../protocols/delivery/store/row-storage.ts'
import type { Events } from '../../protocols/events/api.ts'
import { createEvents } from '../../protocols/events/events.ts'
import type { EventChains, MessageChains } from '../../protocols/interceptors/chains.ts'
import { createReplies } from '../calls/reply-to.ts'
import type { Advertiser } from '../parts/advertise.ts'
import type { DurableMessages } from '../parts/durable-messages.ts'
import { clock, random, timers } from '../platform/platform.ts'
import { createEventStore } from '../store/events/event-files.ts'
import type { NodeCore } from './node-core.ts'
import type { Presence } from './start-presence.ts'

export const startEvents = async ({ startup, network, quota }: NodeCore, chains: EventChains) => {
  const { options, log } = startup
  const store =
    options.dataDir === undefined ? undefined : createEventStore(options.dataDir, { clock, log, random, timers })
  const events = createEvents(network.ownPort, options.events, store, quota, chains)
  const replies = await createReplies(network.ownPort, () => events.own, log)
  network.extensions.sendReply.give((reply) => replies.send(reply))
  return { events, replies }
}

export interface MessagesDeps {
  /** As they are opened while libp2p is loaded. */
  readonly rows: Promise<RowStore>
  readonly directory: Directory
  readonly events: { readonly own: Pick<Events, 'publish'> }
  readonly chains: MessageChains
  readonly advertiser: Pick<Advertiser, 'advertise'>
  readonly activity: Presence['activity']
}

export const startMessages = async (
  { startup, network, quota, undo }: NodeCore,
  { rows, directory, events, chains, advertiser, activity }: MessagesDeps,
): Promise<DurableMessages> => {
  const { options } = startup
  const { extensions, loadOf, ownPort, router } = network
  // Loads the disk's code, which is there by now.
  const { startDurableMessages } = await import('../parts/durable-messages.ts')
  const messages = await startDurableMessages({
    port: ownPort,
    rows,
    quota,
    dataDir: options.dataDir,
    settings: options.delivery,
    directory,
    events: events.own,
    chains,
    loadOf,
    advertise: advertiser.advertise,
  })
  extensions.recordCall.give((call) => messages.noteCall(call))
  extensions.onDeadLetter.give((letter) => {
    // What the mesh asks for itself it asks for again.
    if (!router.ownsName(letter.label.split('.', 1)[0] ?? '')) messages.addFailedCall(failedCallOf(letter))
  })
  undo.push(() => messages.stop())
  activity.include(messages.work)
  return messages
}
