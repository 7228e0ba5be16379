/** Events of the mesh in words, and the filter over them. Pure. */
import type { MeshEvent } from '../../debug/source.ts'
import { count, nameOr, shortId } from './format.ts'

/** `dropped`: what the stream could not keep for this reader. */
export type ShownEvent = MeshEvent | { readonly type: 'dropped'; readonly at: number; readonly count: number | null }

/** @returns one sentence */
export const sentenceOf = (event: ShownEvent, nameOf: (id: string) => string): string => {
  switch (event.type) {
    case 'peer-joined':
      return `${nameOr(event.name, event.id)} is connected`
    case 'peer-left':
      return `${nameOr(event.name, event.id)} is not connected any more`
    case 'agent-joined':
      return `${nameOr(event.name, event.id)} came${offers(event.protocols)}`
    case 'agent-changed':
      return `${nameOr(event.name, event.id)} ${event.stuck === true ? 'is stuck' : event.state === 'suspect' ? 'is suspect' : `changed${offers(event.protocols).replace(' with', ', offers')}`}`
    case 'agent-left':
      return `${nameOr(event.name, event.id)} left${event.reason === undefined ? '' : ` (${event.reason})`}`
    case 'event-published':
      return `${event.topic} published, ${count(event.bytes)} bytes`
    case 'event-received':
      return `${event.topic} from ${nameOr(nameOf(event.source), event.source)}, ${count(event.bytes)} bytes`
    case 'dead-letter':
      return `${event.messageType} to ${nameOr(nameOf(event.destination), event.destination)} was given up: ${event.code}`
    case 'stranger-refused':
      return `${event.id === undefined ? 'somebody' : shortId(event.id)} was refused: ${event.reason}`
    case 'dropped':
      return event.count === null ? 'events were missed, how many is not known' : `${event.count} events were missed`
    default:
      return 'something else happened'
  }
}

const offers = (protocols: readonly string[]): string => {
  const skills = protocols.filter((name) => !name.startsWith('message/'))
  return skills.length === 0 ? '' : ` with ${skills.join(', ')}`
}

/** Every word must be somewhere in the line; `-word` must not. */
export const matches = (line: string, filter: string): boolean => {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '' && word !== '-')
  if (words.length === 0) return true
  const text = line.toLowerCase()
  return words.every((word) => (word.startsWith('-') ? !text.includes(word.slice(1)) : text.includes(word)))
}
