/** A dead letter that is sent again: into the outbox, in the commit in which the letter goes. */
import type { Port } from '../../port.ts'
import { decodeMessage } from '../durable-message.ts'
import type { RetryPolicy } from '../options.ts'
import type { MessageStaging } from '../send/message-staging.ts'
import type { Outbox, StagedChanges } from '../send/outbox.ts'
import { capabilityTargetOf } from '../send/outgoing-message.ts'
import type { PreparedMessage } from '../send/prepare-message.ts'
import { CAPABILITY_PREFIX } from '../store/delivery-rows.ts'
import type { RowChange, RowStore } from '../store/row-storage.ts'

export interface ResendDeps {
  readonly port: Pick<Port, 'clock'>
  readonly store: Pick<RowStore, 'commit'>
  readonly outbox: Pick<Outbox, 'room' | 'count'>
  readonly staging: Pick<MessageStaging, 'isBusy' | 'ready' | 'stage'>
}

/**
 * @param to a peer id, or `capability:<name>`
 * @param also what is committed with it
 */
export const resend = async (
  { port, store, outbox, staging }: ResendDeps,
  to: string,
  bytes: Uint8Array,
  policy: RetryPolicy,
  also: readonly RowChange[],
): Promise<void> => {
  const message = decodeMessage(bytes)
  const { conversationId, priority, ttlMs } = message
  // Its time begins again with it.
  const expiresAt = ttlMs === undefined ? undefined : Math.floor(port.clock.now()) + ttlMs
  const capability = to.startsWith(CAPABILITY_PREFIX) ? to.slice(CAPABILITY_PREFIX.length) : undefined
  const bound = capabilityTargetOf(message, capability, false)
  const draft = { bytes, conversationId, priority, policy, expiresAt, bound }
  const peers = capability === undefined ? [to] : []
  const prepared: PreparedMessage = { message, draft, peers, capability, chosen: undefined }
  await outbox.room(1, bytes.length)
  let staged: StagedChanges
  try {
    while (staging.isBusy(prepared)) await staging.ready(prepared)
    staged = staging.stage(prepared)
  } finally {
    outbox.count(-1, -bytes.length)
  }
  const { changes, launch, drop } = staged
  try {
    await store.commit([...changes, ...also])
  } catch (error) {
    drop()
    throw error
  }
  launch()
}
