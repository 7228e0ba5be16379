/** Frames of delivery as one line for people, for traces. Pure. */
import { decodeAckFrame, decodeMessageFrame, type LaneNumbers } from '../../../protocols/delivery/delivery-frames.ts'

const places = (all: readonly LaneNumbers[]): string =>
  all.map(({ lane, sequences }) => `${lane}/${sequences.join('+')}`).join(' ')

const part = (name: string, text: string): string => (text === '' ? '' : ` ${name} ${text}`)

const messagesOf = (frame: Uint8Array): string => {
  const { session, entries } = decodeMessageFrame(frame)
  const each = entries.map(
    ({ lane, sequence, attempt, message }) =>
      `${lane}/${sequence}${message === undefined ? ' skip' : ''}${attempt > 1 ? ` attempt ${attempt}` : ''}`,
  )
  return `messages of ${session % 1_000}: ${each.join(', ')}`
}

const answerOf = (frame: Uint8Array): string => {
  const { session, acked, failed, held, missing, window, greet } = decodeAckFrame(frame)
  const faults = failed
    .map(({ lane, sequence, fault }) => `${lane}/${sequence} ${fault.code} ${fault.message}`)
    .join(', ')
  return `answer of ${session % 1_000}:${part('acked', places(acked))}${part('failed', faults)}${part('held', places(held))}${part('missing', places(missing))} window ${window}${greet ? ' greet' : ''}`
}

/** @param input of a method of the protocol of delivery; undefined for what is not worth a line */
export const lineOf = (method: string, input: unknown): string | undefined => {
  if (method === 'hello') return `greets ${JSON.stringify(input)}`
  if (!(input instanceof Uint8Array)) return undefined
  if (method === 'messages') return messagesOf(input)
  return method === 'answers' ? answerOf(input) : undefined
}
