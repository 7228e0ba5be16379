/** A notification on the wire, as a program gets it, and who is believed. */
import * as z from 'zod'
import { defineEvent } from '../events/define-event.ts'
import { NOTIFICATION_TOPIC } from '../events/event-traffic.ts'
import { type Fence, FenceSchema } from '../journal/fencing/fence.ts'

export const NOTIFICATION_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/

export const notificationEvent = defineEvent({
  topic: NOTIFICATION_TOPIC,
  version: '1.0.0',
  schema: z.object({
    notification_id: z.string().min(1).max(128),
    mesh_id: z.string().min(1).max(64),
    name: z.string().regex(NOTIFICATION_NAME),
    /** Peer id of the coordinator. */
    leader: z.string().min(1).max(128),
    /** Its epoch, and the version of the journal that it had. */
    fence: FenceSchema,
    timestamp: z.number(),
    data: z.unknown().optional(),
  }),
})
export type NotificationData = z.output<typeof notificationEvent.schema>

export interface Notification {
  readonly id: string
  readonly name: string
  readonly data: unknown
  /** Peer id of the coordinator that sent it. */
  readonly source: string
  readonly epoch: number
  /** For `mesh.fences.accept`, where what is done about it must not be done for a coordinator that was replaced. */
  readonly fence: Fence
  /** Milliseconds since 1970 by the coordinator's clock. */
  readonly timestamp: number
}

type Verdict = 'deliver' | 'stale' | 'foreign' | 'wait'

/** Whether a notification is let through, by what is known of who coordinates. Pure. */
export const decideNotification = (
  { mesh_id: meshId, leader, fence }: Pick<NotificationData, 'mesh_id' | 'leader' | 'fence'>,
  source: string,
  known: { meshId: string | undefined; epoch: number; leader: string | undefined },
): Verdict => {
  if (source !== leader || meshId !== known.meshId) return 'foreign'
  if (fence.term < known.epoch) return 'stale'
  if (fence.term > known.epoch || known.leader === undefined) return 'wait'
  return source === known.leader ? 'deliver' : 'foreign'
}

export const notificationOf = (data: NotificationData, source: string): Notification => {
  const { notification_id: id, name, fence, timestamp } = data
  return { id, name, data: data.data, source, epoch: fence.term, fence, timestamp }
}
