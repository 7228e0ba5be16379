/** Tables and sections of the documents, out of the schemas, the command line, the sources and the .proto files. Pure. */
import type { Command } from 'commander'
import { UP_DEFAULTS } from '../../node/cli/start/up-configuration.ts'
import { OPERATIONS } from '../../node/observe/debug/routes/debug-operations.ts'
import { partReference, referenceMarkdown } from '../../node/options/config/reference.ts'
import { PRESETS } from '../../node/options/presets.ts'
import { ERROR_REASONS } from '../../protocols/error-reasons.ts'
import { CODES } from '../../protocols/errors.ts'
import type { AnyPart } from '../../protocols/part.ts'
import { STATE_REASONS } from '../../protocols/state-reasons.ts'
import { written } from './regions.ts'

const WIDTH = 100

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

/** The reference of all keys, without its own title. */
export const configuration = (): string => referenceMarkdown(UP_DEFAULTS).replace(/^# .*\n\n.*do not edit\.\n\n/, '')

export const presets = (): string =>
  table(
    ['Preset', 'What it changes'],
    Object.entries(PRESETS).map(([name, groups]) => [
      `\`${name}\``,
      Object.entries(groups)
        .flatMap(([group, figures]) =>
          Object.entries(figures).map(([key, value]) => {
            const told = typeof value === 'number' ? written(key, value) : [value].flat().join(', ')
            return `\`${group}.${key}\` ${told}`
          }),
        )
        .join('; ') || 'nothing: the defaults are those of one machine',
    ]),
  )

/** What each part is, then the options of those that have some. */
export const parts = (all: readonly AnyPart[]): string => {
  const named = (tokens: object | undefined): string[] => Object.keys(tokens ?? {}).map((name) => `\`${name}\``)
  const overview = table(
    ['Part', 'What it is', 'Needs', 'Starts', 'Options'],
    all.map(({ name, description, needs, activate, options }) => [
      `\`${name}\``,
      description,
      named(needs).join(', '),
      activate === 'start' ? 'with the node' : 'when it is used',
      options === undefined ? 'none of its own' : `\`partOptions['${name}']\``,
    ]),
  )
  return [overview, ...all.flatMap((part) => partReference(part) ?? [])].join('\n\n')
}

/** The comments `/** … *\/` in front of the keys of an object, by key. */
export const commentsOf = (source: string): Map<string, string> =>
  new Map(
    [...source.matchAll(/\/\*\* ([^\n]*?) \*\/\n\s+'?([A-Za-z][\w-]*)'?:/g)].map(([, comment = '', key = '']) => [
      key,
      comment,
    ]),
  )

/** @param source of protocols/errors.ts */
export const codes = (source: string): string => {
  const comments = commentsOf(source)
  return table(
    ['Code', 'Name', 'When', 'Severity', 'Recovery'],
    Object.entries(CODES).map(([code, { name, severity, recovery }]) => {
      const byReason = code === 'STA003'
      const kind = byReason ? ['by reason', 'by reason'] : [severity, `\`${recovery}\``]
      return [`\`${code}\``, name, comments.get(code) ?? '', ...kind]
    }),
  )
}

/** @param source of protocols/state-reasons.ts */
export const reasons = (source: string): string => {
  const comments = commentsOf(source)
  let last = ''
  return table(
    ['`details.reason`', 'Meaning', 'Severity', 'Recovery'],
    Object.entries(STATE_REASONS).map(([reason, { severity, recovery }]) => {
      last = comments.get(reason) ?? last
      return [`\`${reason}\``, last, severity, `\`${recovery}\``]
    }),
  )
}

/** @param source of protocols/error-reasons.ts */
export const otherReasons = (source: string): string =>
  table(
    ['Code', '`details.reason`', 'Meaning'],
    Object.entries(ERROR_REASONS).flatMap(([code, reasonsOfCode]) => {
      if (code === 'STA003') return []
      const [, own = ''] = source.split(`  ${code}: {`)
      const comments = commentsOf(own.slice(0, own.indexOf('\n  },')))
      return Object.keys(reasonsOfCode).map((reason) => [`\`${code}\``, `\`${reason}\``, comments.get(reason) ?? ''])
    }),
  )

const helpOf = (command: Command): string => {
  command.configureHelp({ helpWidth: WIDTH })
  const text = command.helpInformation().trim()
  const inner = command.commands.filter((one) => one.name() !== 'help')
  return inner.length > 0 ? inner.map(helpOf).join('\n\n') : text
}

/** One section a command. */
export const commands = (program: Command): string =>
  program.commands
    .filter((one) => one.name() !== 'help')
    .map((one) => `### \`parley ${one.name()}\`\n\n\`\`\`text\n${helpOf(one)}\n\`\`\``)
    .join('\n\n')

export const routes = (): string =>
  table(
    ['Route', 'Method', 'Shows or does', 'Key'],
    Object.entries(OPERATIONS).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { summary, description, query, key = '' }]) => {
        const asked = Object.keys(query?.shape ?? {}).map((name) => `\`?${name}\``)
        const about = [
          summary,
          ...(description === undefined ? [] : [description.replace(/\.$/, '')]),
          asked.join(', '),
        ]
        return [`\`${path}\``, method, about.filter((text) => text !== '').join('. '), key]
      }),
    ),
  )

export interface MetricFacts {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly labels: readonly string[]
}

const GROUPS: readonly (readonly [title: string, names: RegExp])[] = [
  ['All messages', /^message/],
  ['Calls of this node', /^parley_(calls|call|mesh_calls|late|breakers|recoveries|messages_expired)(_|$)/],
  ['Requests to this node', /^parley_(requests?|mesh_requests|streams_parked|peer_requests|replies)(_|$)/],
  ['Commands and notifications', /^parley_(commands?|notifications)_/],
  ['Links', /^parley_(links?|frames)_/],
  [
    'Connections and admission',
    /^(active_connections|parley_(connections?|clock|dials|admissions|memberships|streams))/,
  ],
  ['Relays and local discovery', /^parley_(relay|mdns|dht)_/],
  ['Events', /^parley_events?_/],
  ['Gossip', /^parley_gossip_/],
  ['Directory', /^parley_directory_/],
  ['Failure detection', /^parley_membership_/],
  ['Durable messages', /^parley_delivery_/],
  ['Coordinator and journal', /^parley_(coordinat|journal|raft|fences)/],
  ['Disk', /^parley_disk_/],
  ['Readiness', /^parley_(ready|agent)/],
  [
    'Debug endpoint, health listener, control socket, and metrics themselves',
    /^parley_(debug|health|control|metrics)_/,
  ],
  ['The process', /^(process|nodejs)_/],
]

/** A table for each subject; what fits no subject comes last. libp2p's own metrics keep libp2p's names and are left out. */
export const metrics = (all: readonly MetricFacts[]): string => {
  let left = all.filter(({ name }) => !name.startsWith('libp2p_'))
  const sections: string[] = []
  for (const [title, names] of [...GROUPS, ['Others', /./] as const]) {
    const these = left.filter(({ name }) => names.test(name)).sort((a, b) => (a.name < b.name ? -1 : 1))
    left = left.filter((one) => !these.includes(one))
    if (these.length === 0) continue
    const rows = these.map(({ name, type, help, labels }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', '),
      help.replace(/\.$/, ''),
    ])
    sections.push(`### ${title}\n\n${table(['Name', 'Type', 'Labels', 'Meaning'], rows)}`)
  }
  return sections.join('\n\n')
}

/** A .proto file as a block of code. */
export const proto = (source: string): string => `\`\`\`proto\n${source.trim()}\n\`\`\``
