/**
 * The log of an agent in a worker thread: its lines are written by the node.
 *
 * State: how many lines are on their way, and how many were left out because MAX_LINES were.
 */
import type { Fields, Log } from '../../../protocols/port.ts'
import { plainFields } from '../../observe/log/log-fields.ts'
import type { ThreadChannel } from '../channel/thread-channel.ts'
import type { RequestToNode } from '../channel/thread-requests.ts'

/** Lines that the node has not taken yet. */
export const MAX_LINES = 256

export const createAgentLog = (channel: () => Pick<ThreadChannel, 'request'>): Log => {
  let underWay = 0
  let leftOut = 0

  const send = (level: keyof Log, message: string, fields: Fields): void => {
    underWay += 1
    const request: RequestToNode = { what: 'log', level, message: String(message), fields: plainFields(fields) }
    const taken = (): void => {
      underWay -= 1
      if (leftOut === 0) return
      const suppressed = leftOut
      leftOut = 0
      send('warn', 'log lines of the agent were left out', { suppressed })
    }
    // A line that cannot be written must not stop the agent.
    channel().request(request).then(taken, taken)
  }
  const at =
    (level: keyof Log) =>
    (message: string, fields: Fields = {}): void => {
      if (underWay < MAX_LINES) send(level, message, fields)
      else leftOut += 1
    }
  return { error: at('error'), warn: at('warn'), info: at('info') }
}
