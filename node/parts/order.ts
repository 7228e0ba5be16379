/**
 * In which order parts start: each one after what it needs, and as they are listed where that leaves a choice. Pure.
 */
import { wireId } from '../../protocols/define.ts'
import { ParleyError } from '../../protocols/errors.ts'
import type { AnyPart } from '../../protocols/part.ts'
import { nearestName } from '../../protocols/unknown-keys.ts'

const unusable = (message: string, hint: string): ParleyError => new ParleyError('MSG001', message, { hint })

/** Its own, and those of what it provides. */
export const namesOf = ({ name, provides = {} }: AnyPart): string[] => [
  name,
  ...Object.values(provides).map((token) => token.name),
]

const checkTwice = (parts: readonly AnyPart[], provided: ReadonlySet<string>): void => {
  const names = new Set<string>(provided)
  const served = new Map<string, string>()
  for (const part of parts) {
    const { name, protocols = [] } = part
    for (const one of namesOf(part)) {
      if (names.has(one))
        throw unusable(`two parts are called ${one}`, 'leave out one of them: each part is there once on a node')
      names.add(one)
    }
    for (const id of protocols.map(wireId)) {
      const other = served.get(id)
      if (other !== undefined)
        throw unusable(`the parts ${other} and ${name} both serve ${id}`, 'rename the protocol of one of them')
      served.set(id, name)
    }
  }
}

const needsOf = (part: AnyPart): string[] => Object.values(part.needs ?? {}).map(({ name }) => name)
const wishesOf = (part: AnyPart): string[] => Object.values(part.optional ?? {}).map(({ name }) => name)

/**
 * @param provided names of what the node has that is no part
 * @throws MSG001 for a name that stands twice, a need that nobody provides, and parts that need each other in a circle
 */
export const orderParts = (parts: readonly AnyPart[], provided: ReadonlySet<string>): readonly AnyPart[] => {
  checkTwice(parts, provided)
  const byName = new Map(parts.flatMap((part) => namesOf(part).map((name) => [name, part])))
  const ordered: AnyPart[] = []

  const visit = (part: AnyPart, path: readonly string[]): void => {
    if (ordered.includes(part)) return
    const from = path.indexOf(part.name)
    if (from >= 0)
      throw unusable(
        `parts need each other in a circle: ${[...path.slice(from), part.name].join(' needs ')}`,
        'move what they both need into a part of its own',
      )
    const here = [...path, part.name]
    for (const need of needsOf(part)) {
      const other = byName.get(need)
      if (other !== undefined) visit(other, here)
      else if (!provided.has(need)) {
        const meant = nearestName(need, [...byName.keys(), ...provided])
        throw unusable(
          `the part ${part.name} needs ${need}, and this node has no such part`,
          meant === undefined ? 'add it to createMesh({ parts }), or name it in optional' : `did you mean ${meant}?`,
        )
      }
    }
    for (const wish of wishesOf(part)) {
      const other = byName.get(wish)
      if (other !== undefined) visit(other, here)
    }
    ordered.push(part)
  }

  for (const part of parts) visit(part, [])
  return ordered
}
