/** `parley id`: who a running node is, and how it is reached. Keeps no state. */
import { ProcessSchema } from '../../../control/control-schemas.ts'
import { SelfSchema } from '../../../observe/debug/debug-schemas.ts'
import { escapeText } from '../../../observe/log/log-fields.ts'
import { findNodeEndpoint, requestNode } from '../../connect/node-endpoint.ts'
import { type NodeSelector, runningNode } from '../../connect/running-nodes.ts'

export interface IdOptions extends NodeSelector {
  json?: boolean
}

const print = (text: string): void => void process.stdout.write(`${text}\n`)

export const showId = async (options: IdOptions): Promise<void> => {
  const reached = await findNodeEndpoint(options)
  const node = options.url === undefined ? await runningNode(options) : undefined
  const self = await requestNode(reached, 'GET', '/api/self', SelfSchema)
  const more = 'control' in reached ? await requestNode(reached, 'GET', '/api/process', ProcessSchema) : undefined
  const debugUrl = more?.debugUrl ?? node?.debugUrl ?? ('url' in reached ? reached.url : undefined)
  if (options.json === true) {
    const facts = { ...self, debugUrl, pid: node?.pid, control: node?.control, dataDir: node?.directory }
    return print(JSON.stringify(facts))
  }
  const rows: [string, string | undefined][] = [
    ['name', self.name],
    ['id', self.id],
    ['mesh', self.mesh],
    ['trust', self.trust],
    ...self.addresses.map((address, at): [string, string] => [at === 0 ? 'listens on' : '', address]),
    ['debug', debugUrl ?? 'off'],
    ['control', node?.control],
    ['data', node?.directory],
    ['process', node === undefined ? undefined : String(node.pid)],
    ['version', self.version],
    ['started', new Date(self.startedAt).toISOString()],
  ]
  print(rows.flatMap(([what, is]) => (is === undefined ? [] : [`${what.padEnd(12)}${escapeText(is)}`])).join('\n'))
}
