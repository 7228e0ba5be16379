/** Events of the mesh in words, and whether they are the mesh's own. Pure. */
import type { DebugEvent } from '../../../debug/debug-schemas.ts'
import { count, nameOr, shortId } from './format.ts'

/** `dropped`: what the stream could not keep for this reader. */
export type ShownEvent = DebugEvent | { readonly type: 'dropped'; readonly at: number; readonly count: number | null }

/** @returns one sentence */
export const describeEvent = (event: ShownEvent, nameOf: (id: string) => string): string => {
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

interface Run<Row> {
  /** The newest of them. */
  readonly row: Row
  readonly first: Row
  readonly times: number
}

/** What says the same several times running is one line. @param rows oldest first @returns newest first */
export const runsOf = <Row>(rows: readonly Row[], textOf: (row: Row) => string): Run<Row>[] => {
  const runs: Run<Row>[] = []
  let former: string | undefined
  for (const row of rows) {
    const text = textOf(row)
    const last = text === former ? runs.pop() : undefined
    runs.push({ row, first: last?.first ?? row, times: (last?.times ?? 0) + 1 })
    former = text
  }
  return runs.reverse()
}

/** Of the mesh itself: who comes and goes, and its own topics. What programs publish and what was given up is theirs. */
export const isOwnEvent = (event: ShownEvent): boolean => {
  if (event.type === 'event-published' || event.type === 'event-received') return event.own === true
  return event.type !== 'dead-letter' && event.type !== 'dropped'
}
