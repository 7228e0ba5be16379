/**
 * How far a publisher is, in bytes that it signs: over `parley/events/head/1\n<mesh>\n<publisher>\n<word>\n<epoch>\n<last>\n`
 * and the circle of those whom it tells itself (circle.ts). Pure.
 */
import { concat } from 'uint8arrays/concat'
import { fromString } from 'uint8arrays/from-string'
import type { WireHead } from './protocol.ts'

export const signedHead = (mesh: string, { publisher, word, epoch, last, circle }: Omit<WireHead, 'signature'>) => {
  const text = fromString(`parley/events/head/1\n${mesh}\n${publisher}\n${word}\n${epoch}\n${last}\n`)
  return circle === undefined ? text : concat([text, circle])
}
