/** Batches made by hand: as their publisher would sign them, or not quite. */

import { fromString } from 'uint8arrays/from-string'
import { hash } from '../../../node/platform/platform.ts'
import { BatchDraft, putEvent, signingPrefixes } from '../../../protocols/events/batch/batch-encoder.ts'
import type { EventAttributes } from '../../../protocols/events/batch/event-attributes.ts'
import { ProtobufWriter } from '../../../protocols/wire/frames/protobuf.ts'
import { signAs } from './ports.ts'

export interface Forged {
  publisher?: string
  signer?: string
  word?: string
  epoch?: number
  first?: number
  waitedMs?: number
  sentAt?: number
  mesh?: string
  circle?: Uint8Array | undefined
  events?: { topic?: string; text?: string; marks?: EventAttributes }[]
}

/** A batch of publisher `q`, unless told otherwise. */
export const batch = (options: Forged = {}): Uint8Array => {
  const {
    publisher = 'q',
    signer = publisher,
    word = 'tasks',
    epoch = 5,
    first = 1,
    waitedMs = 0,
    sentAt = 77,
  } = options
  const { mesh = 'test', circle, events = [{}] } = options
  const writer = new ProtobufWriter()
  for (const { topic = 'tasks.x', text = '1', marks } of events) putEvent(writer, fromString(topic), text, marks)
  const header = { publisher, word, epoch, first, sentAt, waitedMs, circle }
  const draft = new BatchDraft(signingPrefixes(mesh).digest, hash, header, writer.finish())
  return draft.seal(signAs(signer, draft.toSign(header)))
}
