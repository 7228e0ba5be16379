/**
 * Settings from variables: `PARLEY_` and the key in capitals, `__` for each step into a section. Pure.
 *
 * A variable that starts so and names no key is refused, since a setting with a typing error would be none. Left alone:
 * what Kubernetes and Docker put there for a service of that name, and the variables of other commands.
 */
import { nearestName } from '../../../protocols/unknown-keys.ts'
import { alternatives, dotted, findShape, isMap, type JsonSchema } from './key-shape.ts'
import { keySpace } from './key-space.ts'
import type { Setting, SettingIssue, SettingLayer, SettingOrigin } from './setting-layer.ts'

const PREFIX = 'PARLEY_'
/** Read elsewhere: which file, and the former secret; and what `parley serve` tells the program that it runs. */
const OTHERS = [
  'PARLEY_CONFIG',
  'PARLEY_SECRET_OLD',
  'PARLEY_SECRET_OLD_FILE',
  'PARLEY_CALLER',
  'PARLEY_SKILL',
  'PARLEY_CONVERSATION_ID',
]
/** Of a service parley or parley-…: `PARLEY_SERVICE_HOST=10.0.0.7`, `PARLEY_PORT_8081_TCP=tcp://10.0.0.7:8081`. */
const SERVICE =
  /^PARLEY_([A-Z0-9_]+_)?(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/
const SERVICE_PORT = /^(tcp|udp|sctp):\/\//

export const variableOf = (path: readonly string[]): string => PREFIX + path.join('__').toUpperCase()

const typesOf = (schema: JsonSchema): JsonSchema[] => alternatives(schema)

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    // The schema says what is wrong with the text.
    return text
  }
}

const byComma = (text: string): string[] => text.split(',').map((part) => part.trim())

const record = (text: string): unknown => {
  const pairs = byComma(text).map((part) => part.split(/=(.*)/s).slice(0, 2))
  return pairs.every((pair) => pair.length === 2) ? Object.fromEntries(pairs) : text
}

/** The value that a text stands for, by what the schema wants; the text itself where it is none of that. */
export const parseVariable = (schema: JsonSchema, text: string): unknown => {
  const wanted = typesOf(schema)
  const takes = (type: string): boolean => wanted.some((one) => one.type === type)
  if (takes('boolean') && /^(true|false)$/.test(text)) return text === 'true'
  if ((takes('integer') || takes('number')) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text)
  if ((takes('array') || takes('object')) && /^[[{]/.test(text)) return parseJson(text)
  if (takes('string')) return text
  const list = wanted.find(({ type }) => type === 'array')
  if (list !== undefined) {
    const items = isMap(list.items) ? (list.items as JsonSchema) : {}
    return byComma(text).map((part) => parseVariable(items, part))
  }
  return takes('object') ? record(text) : text
}

/** Names in a section of free names (labels) are kept as they are written. */
const pathOf = (name: string): string[] => name.slice(PREFIX.length).toLowerCase().split('__')

const isOther = (name: string, value: string): boolean =>
  OTHERS.includes(name) || SERVICE.test(name) || (name.endsWith('_PORT') && SERVICE_PORT.test(value))

const unknown = (name: string, origin: SettingOrigin): SettingIssue => {
  const known = [...keySpace().paths.map(variableOf), ...OTHERS]
  const meant = nearestName(name, known)
  return {
    path: dotted(pathOf(name)),
    origin,
    message: 'unknown key',
    hint: meant === undefined ? `known variables are those of parley config reference` : `did you mean ${meant}?`,
  }
}

/** Empty variables count as absent. */
export const readEnvironment = (env: NodeJS.ProcessEnv): SettingLayer => {
  const entries: Setting[] = []
  const issues: SettingIssue[] = []
  const { all } = keySpace()
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(PREFIX) || text === undefined || text === '') continue
    const origin: SettingOrigin = { kind: 'environment', name }
    const path = pathOf(name)
    const shape = findShape(all, path)
    if (shape === undefined || (shape.kind === 'group' && shape.open === undefined && shape.scalar === undefined)) {
      if (!isOther(name, text)) issues.push(unknown(name, origin))
    } else if (dotted(path) === 'secret') entries.push({ path, value: text, origin })
    else if (shape.kind === 'leaf') entries.push({ path, value: parseVariable(shape.schema, text), origin })
    else if (shape.open !== undefined) {
      const value = parseVariable({ type: 'object' }, text)
      if (isMap(value))
        for (const [key, one] of Object.entries(value)) entries.push({ path: [...path, key], value: one, origin })
      else
        issues.push({ path: dotted(path), origin, message: 'is no list of name=value', hint: 'write a=1,b=2, or JSON' })
    } else entries.push({ path, value: parseVariable(shape.scalar ?? {}, text), origin })
  }
  return { entries, issues }
}
