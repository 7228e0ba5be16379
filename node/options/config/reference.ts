/** The reference of all keys as Markdown, out of the schemas of the node and of its parts. Pure. */
import type { AnyPart } from '../../../protocols/part.ts'
import { LIVE_OPTIONS } from '../live-settings.ts'
import { variableOf } from './environment.ts'
import {
  alternatives,
  dotted,
  isMap,
  type JsonSchema,
  type KeyShape,
  leafShapes,
  schemaFieldsOf,
  shapeOfSchema,
  snakeCase,
} from './key-shape.ts'
import { keySpace, withKeyNames } from './key-space.ts'
import type { KeyFields, Setting } from './setting-layer.ts'

/** What most nodes need, as programs name it; all others are advanced. */
export const BASIC_OPTIONS: readonly string[] = [
  ...['name', 'mesh', 'preset', 'secret', 'dataDir', 'listen', 'announce', 'join'],
  ...['labels', 'debug', 'health', 'log', 'discovery.mdns', 'discovery.local', 'coordination.expect'],
]
const BASIC_KEYS: ReadonlySet<string> = new Set(BASIC_OPTIONS.map(snakeCase))

const NO_BOUND = Number.MAX_SAFE_INTEGER

const number = (value: number): string => value.toLocaleString('en-US')

const bounds = ({ minimum, maximum }: JsonSchema): string => {
  const least = typeof minimum === 'number' && minimum > -NO_BOUND ? minimum : undefined
  const most = typeof maximum === 'number' && maximum < NO_BOUND ? maximum : undefined
  if (least !== undefined && most !== undefined) return `${number(least)} to ${number(most)}`
  return least === undefined ? 'whole number' : `${number(least)} or more`
}

const one = (schema: JsonSchema): string => {
  if (schema.const !== undefined) return `\`${schema.const}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.type === 'boolean') return '`true`, `false`'
  if (schema.type === 'integer' || schema.type === 'number') return bounds(schema)
  if (schema.type === 'array') {
    const items = isMap(schema.items) ? (schema.items as JsonSchema) : { type: 'string' as const }
    return schema.prefixItems === undefined ? `list of ${one(items)}` : `list of ${schema.prefixItems.length}`
  }
  if (schema.type !== 'object') return 'text'
  const fields = schemaFieldsOf(schema).map(([name]) => snakeCase(name))
  return fields.length === 0 ? 'names and values' : `{ ${fields.join(', ')} }`
}

const takes = (shape: KeyShape): string => {
  if (shape.kind === 'leaf') return alternatives(shape.schema).map(one).join(', or ')
  return shape.open === undefined
    ? alternatives(shape.scalar ?? {})
        .map(one)
        .join(', or ')
    : `any name: ${one(shape.open)}`
}

const written = (value: unknown): string => (value === undefined ? '' : `\`${JSON.stringify(value)}\``)

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

/** @param defaults of the program, which stand above those of the schema */
const rowOf = (shape: KeyShape, defaults: readonly Setting[]): string => {
  const key = dotted(shape.path)
  const own = defaults.find(({ path }) => dotted(path) === key)?.value
  const schema = shape.kind === 'leaf' ? shape.schema : undefined
  const usual = own ?? schema?.default
  const name = shape.kind === 'group' && shape.open !== undefined ? `${key}.NAME` : key
  const live = shape.option === undefined ? '' : `${LIVE_OPTIONS.has(dotted(shape.option)) ? 'yes' : ''} | `
  return `| \`${name}\` | ${cell(takes(shape))} | ${cell(written(usual))} | ${live}${cell(withKeyNames(shape.about))} |`
}

const HEAD = '| Key | Takes | Default | What it is |\n|---|---|---|---|'
/** Of options, which may change while a node runs. */
const OPTIONS_HEAD = '| Key | Takes | Default | Live | What it is |\n|---|---|---|---|---|'

const rows = (shapes: readonly KeyShape[], defaults: readonly Setting[]): string =>
  [
    shapes.some(({ option }) => option !== undefined) ? OPTIONS_HEAD : HEAD,
    ...shapes.map((shape) => rowOf(shape, defaults)),
  ].join('\n')

const section = (shape: KeyShape, defaults: readonly Setting[]): string => {
  if (shape.kind === 'leaf') return ''
  const own =
    shape.scalar === undefined ? [] : [{ ...shape, fields: new Map(), about: 'In the place of the keys below.' }]
  const leaves = shape.open === undefined ? leafShapes(shape.fields) : [shape]
  const about = shape.about === '' || shape.open !== undefined ? '' : `${withKeyNames(shape.about)}\n\n`
  return `### \`${dotted(shape.path)}\`\n\n${about}${rows([...own, ...leaves], defaults)}\n`
}

const part = (
  title: string,
  about: string,
  fields: ReadonlyMap<string, KeyShape>,
  defaults: readonly Setting[],
): string => {
  const shapes = [...fields.values()]
  const plain = shapes.filter(({ kind }) => kind === 'leaf')
  const groups = shapes.filter(({ kind }) => kind === 'group')
  const table = plain.length === 0 ? '' : `${rows(plain, defaults)}\n\n`
  return `## ${title}\n\n${about}\n\n${table}${groups.map((group) => section(group, defaults)).join('\n')}`
}

/** A group stands among the basic options as a whole, or with some of its keys. */
const splitBasic = (options: KeyFields): { basic: Map<string, KeyShape>; advanced: Map<string, KeyShape> } => {
  const isBasic = ({ path }: KeyShape): boolean => BASIC_KEYS.has(dotted(path))
  const basic = new Map<string, KeyShape>()
  const advanced = new Map<string, KeyShape>()
  for (const [name, shape] of options) {
    const fields = shape.kind === 'group' ? [...shape.fields] : []
    for (const [, field] of fields) if (isBasic(field)) basic.set(dotted(field.path), field)
    if (isBasic(shape)) basic.set(name, shape)
    else if (shape.kind === 'leaf') advanced.set(name, shape)
    else advanced.set(name, { ...shape, fields: new Map(fields.filter(([, field]) => !isBasic(field))) })
  }
  return { basic, advanced }
}

/** What a part takes, by the names that programs give it. @returns undefined for a part without options */
export const partReference = ({ name, options }: Pick<AnyPart, 'name' | 'options'>): string | undefined => {
  if (options === undefined) return undefined
  const rows = leafShapes(shapeOfSchema(options, true)).map((shape) => {
    const usual = shape.kind === 'leaf' ? shape.schema.default : undefined
    return `| \`${dotted(shape.option ?? shape.path)}\` | ${cell(takes(shape))} | ${cell(written(usual))} | ${cell(shape.about)} |`
  })
  return `### \`${name}\`\n\n${[HEAD.replace('Key', 'Option'), ...rows].join('\n')}\n`
}

const INTRO = `# Configuration

Written by \`parley config reference\` out of the schema; do not edit.

\`parley up\` takes its settings, the first one that says something, from

1. its flags (\`parley up --help\`),
2. variables: \`PARLEY_\` and the key in capitals, \`__\` for each step into a section, as in \`${variableOf(['limits', 'max_connections'])}=500\`; lists by comma or as JSON,
3. a YAML file: the one of \`--config\`, else \`parley.yaml\` of the working directory, else the one that \`PARLEY_CONFIG\` names,
4. the preset, then the defaults below.

Keys that nobody knows are refused, with the nearest known name. Paths in a file are found from the file's folder. Times and sizes have their unit in the name. \`parley config show\` tells each value and where it came from, \`parley config check FILE\` whether a file can be used, \`parley init\` writes one.

The secret comes from \`--secret-file\`, \`PARLEY_SECRET\`, \`PARLEY_SECRET_FILE\` or the key \`secret_file\`; \`PARLEY_SECRET_OLD\` or \`PARLEY_SECRET_OLD_FILE\` name the former one while it is changed.

\`kill -HUP\` has a running node read all of this again: it changes what can change while it runs (Live below), and names what needs a restart, edited files that it serves included. A change that cannot be used changes nothing.
`

export const referenceMarkdown = (defaults: readonly Setting[]): string => {
  const { program, options, sections } = keySpace()
  const { basic, advanced } = splitBasic(options)
  const presets =
    'What most nodes need. A key here is an option of `createMesh`, which has it in camelCase. `preset` sets several options; what is given stands above it.'
  const rest = 'Options of `createMesh` too. Their defaults fit until a measurement or a limit says otherwise.'
  const seeds =
    'Short names of other keys, which may stand under `communication` too. A key and the one that it stands for contradict each other where both are given. What this version cannot do is taken at its usual value only. Times are milliseconds, or a text with its unit (`10ms`, `2s`).'
  return [
    INTRO,
    part('Program', 'Only `parley up` has these.', program, defaults),
    part('Basic options', presets, basic, defaults),
    part('Advanced options', rest, advanced, defaults),
    part('Sections', seeds, sections, defaults),
  ].join('\n')
}
