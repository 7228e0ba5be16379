/**
 * What the documents say works: their programs compile and run, their command lines are known, their links lead somewhere,
 * and what is generated is current. Metrics are looked at in docker/monitoring.test.ts too, beside alerts and dashboard.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type Command, CommanderError } from 'commander'
import { z } from 'zod'
import { createProgram } from '../../../node/cli/main.ts'
import { keepProgramArguments } from '../../../node/cli/register/register-messaging.ts'
import { MeshOptionsSchema, parseOptions } from '../../../node/index.ts'
import { dotted, leafShapes, snakeCase } from '../../../node/options/config/key-shape.ts'
import { keySpace } from '../../../node/options/config/key-space.ts'
import { BASIC_OPTIONS } from '../../../node/options/config/reference.ts'
import { pages, ROOT, renewedPages } from '../../docs/pages.ts'
import { blocksOf, commandsOf } from '../../support/markdown-blocks.ts'

const at = (path: string): string => join(ROOT, path)
const run = promisify(execFile)

const TEXTS = pages().map((path) => ({ path, text: readFileSync(at(path), 'utf8') }))
const ALL = TEXTS.map(({ text }) => text).join('\n')
const textOf = (path: string): string => TEXTS.find((one) => one.path === path)?.text ?? ''
const programs = TEXTS.flatMap(({ path, text }) =>
  blocksOf(text)
    .filter(({ language }) => language === 'ts')
    .map((block) => ({
      ...block,
      where: `${path}, line ${block.line}`,
      name:
        block.marks.find((mark) => mark.endsWith('.ts')) ??
        `${path.replace('.md', '').replaceAll('/', '-')}-line-${block.line}.ts`,
    })),
)

/** One process for all, since most of the time of each would be its start. The first that fails ends it. */
const RUN_ALL = `
import { mkdirSync, writeFileSync } from 'node:fs'
import { makeSecret } from 'parley-mesh'
for (const name of process.argv.slice(2)) {
  const own = new URL('./in-' + name + '/', import.meta.url)
  mkdirSync(own)
  writeFileSync(new URL('parley.secret', own), makeSecret() + '\\n', { mode: 0o600 })
  process.chdir(own.pathname)
  console.error('== ' + name)
  await import('./' + name)
}
process.exit()
`

let folder = ''
/** As installed: `parley-mesh` and `zod` by name, and the sources instead of the build. */
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-readme-'))
  await mkdir(join(folder, 'node_modules'))
  await mkdir(join(folder, 'package'))
  await writeFile(
    join(folder, 'package/package.json'),
    '{"type":"module","exports":{".":"./index.ts","./testing":"./testing.ts"}}',
  )
  await writeFile(join(folder, 'package/index.ts'), `export * from ${JSON.stringify(at('node/index.ts'))}\n`)
  const testing = at('node/testing/index.ts')
  await writeFile(join(folder, 'package/testing.ts'), `export * from ${JSON.stringify(testing)}\n`)
  await symlink(join(folder, 'package'), join(folder, 'node_modules/parley-mesh'))
  await symlink(at('node_modules/zod'), join(folder, 'node_modules/zod'))
  await symlink(at('node_modules/@types'), join(folder, 'node_modules/@types'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  const paths = { 'parley-mesh': [at('node/index.ts')], 'parley-mesh/testing': [testing] }
  const compilerOptions = { paths, typeRoots: [at('node_modules/@types')] }
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: at('tsconfig.json'), compilerOptions, include: ['*.ts'], exclude: [] }),
  )
  // A port of their own may be taken here.
  const written = programs.map(({ name, text }) => [name, text.replace('/tcp/8081', '/tcp/0')] as const)
  await Promise.all(written.map(([name, text]) => writeFile(join(folder, name), text)))
  await writeFile(join(folder, 'run-all.mjs'), RUN_ALL)
})
after(() => rm(folder, { recursive: true, force: true }))

const failureOf = (error: unknown): string =>
  z
    .object({ stdout: z.string(), stderr: z.string() })
    .transform(({ stdout, stderr }) => stdout + stderr)
    .parse(error)

describe('the programs of the documents', { concurrency: 2 }, () => {
  test('each compiles', async () => {
    assert.ok(programs.length > 10)
    const failed = await run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', folder]).catch(failureOf)
    assert.equal(typeof failed === 'string' ? failed : '', '')
  })

  test('each that is marked so runs, in a folder with a secret', async () => {
    const names = programs.filter(({ marks }) => marks.includes('run')).map(({ name }) => name)
    const failed = await run(process.execPath, [join(folder, 'run-all.mjs'), ...names], { timeout: 140_000 }).catch(
      failureOf,
    )
    assert.equal(typeof failed === 'string' ? failed : '', '')
  })

  test('each runs, but those that only another one runs', () => {
    const idle = programs.filter(({ marks }) => marks.length === 0).map(({ where }) => where)
    assert.deepEqual(idle, [], 'mark a block with `run`, or with the name of the file that another one uses')
  })
})

/** Parses and does nothing. */
const harmless = (command: Command): Command => {
  if (command.commands.length === 0) command.action(() => {})
  for (const one of command.commands) harmless(one)
  return command
}

/** What commander says of these arguments; undefined where they are right. */
const objection = async (words: readonly string[]): Promise<string | undefined> => {
  try {
    await harmless(createProgram().configureOutput({ writeOut: () => {} })).parseAsync(keepProgramArguments(words), {
      from: 'user',
    })
  } catch (error) {
    if (error instanceof CommanderError && ['commander.helpDisplayed', 'commander.version'].includes(error.code)) return
    return error instanceof Error ? error.message : String(error)
  }
  return undefined
}

const programOf = (words: readonly string[]): readonly string[] | undefined => {
  const [first, ...rest] = words
  if (first === 'npx') return programOf(rest)
  // In a container: what is behind its name.
  if (first === 'docker' || first === 'kubectl') {
    const inside = words.includes('exec') ? words.lastIndexOf('parley') : -1
    return inside === -1 ? undefined : words.slice(inside + 1)
  }
  return first === 'parley' || first === 'parley-mesh' ? rest : undefined
}

describe('the command lines of the texts', () => {
  test('all are known, with their options', async () => {
    const wrong = []
    for (const { path, text: page } of TEXTS) {
      for (const { language, line, text } of blocksOf(page)) {
        if (language !== 'sh' && language !== 'bash') continue
        for (const words of commandsOf(text)) {
          const args = programOf(words)
          const said = args === undefined ? undefined : await objection(args)
          if (said !== undefined) wrong.push(`${path}, line ${line}: ${words.join(' ')}: ${said}`)
        }
      }
    }
    assert.deepEqual(wrong, [])
  })

  test('a command or option that does not exist is noticed', async () => {
    assert.match((await objection(['uq'])) ?? '', /unknown command/)
    assert.match((await objection(['up', '--nam', 'x'])) ?? '', /unknown option/)
    assert.equal(await objection(['up', '--name', 'x']), undefined)
  })

  test('commands that a text names exist', () => {
    const program = createProgram()
    const isKnown = (words: string[], command: Command): boolean => {
      const [first, ...rest] = words
      if (first === undefined || command.commands.length === 0) return true
      const next = command.commands.find((one) => one.name() === first)
      return next !== undefined && isKnown(rest, next)
    }
    const unknown = [...ALL.matchAll(/`parley ((?:[a-z][a-z-]* ?)+)/g)]
      .map(([, words = '']) => words.trim().split(' '))
      .filter((words) => words[0] !== 'help' && !isKnown(words, program))
      .map((words) => words.join(' '))
    assert.deepEqual(unknown, [])
  })

  test('scripts of npm that a text names exist', () => {
    const { scripts } = z
      .object({ scripts: z.record(z.string(), z.string()) })
      .parse(JSON.parse(readFileSync(at('package.json'), 'utf8')))
    const named = [...ALL.matchAll(/npm run (?:--silent )?([a-z:-]+)/g)].map(([, name = '']) => name)
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    )
  })
})

/** As GitHub makes the anchor of a heading. */
const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .trim()
    .replace(/\s/g, '-')

/** Without blocks of code, in which `#` and brackets mean something else. */
const prose = (text: string): string => text.replace(/^```[\s\S]*?^```$/gm, '')

/** The anchors of the headings of a page; of two that are the same, the second one has a number. */
const anchorsOf = (text: string): Set<string> => {
  const anchors = new Set<string>()
  for (const [, heading = ''] of prose(text).matchAll(/^#+ (.+)$/gm)) {
    const anchor = slug(heading)
    let one = anchor
    for (let at = 1; anchors.has(one); at += 1) one = `${anchor}-${at}`
    anchors.add(one)
  }
  return anchors
}

/** The links of a page: the page itself where there is only an anchor. */
const linksOf = (path: string, text: string): { file: string; anchor: string | undefined }[] =>
  [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .map((link) => {
      const [file = '', anchor] = link.split('#')
      return { file: file === '' ? path : normalize(join(dirname(path), decodeURIComponent(file))), anchor }
    })

describe('what the documents lead to', () => {
  test('every file and heading that they link to is there', () => {
    const wrong = []
    for (const { path, text } of TEXTS) {
      for (const { file, anchor } of linksOf(path, text)) {
        if (!existsSync(at(file))) wrong.push(`${path}: ${file}`)
        else if (anchor !== undefined && !anchorsOf(textOf(file)).has(anchor)) wrong.push(`${path}: ${file}#${anchor}`)
      }
    }
    assert.deepEqual(wrong, [])
  })

  test('a link that leads nowhere is noticed', () => {
    assert.deepEqual(linksOf('docs/a.md', 'see [b](../b.md#c), [d](#e), [f](https://example.org/g)'), [
      { file: 'b.md', anchor: 'c' },
      { file: 'docs/a.md', anchor: 'e' },
    ])
    assert.deepEqual([...anchorsOf('# A b\n## C: `d`!\n## A b\n```sh\n# e\n```\n')], ['a-b', 'c-d', 'a-b-1'])
  })

  test('every page of docs/ is found from the README', () => {
    const found = new Set(['README.md'])
    for (const path of found)
      for (const { file } of linksOf(path, textOf(path))) if (textOf(file) !== '') found.add(file)
    const lost = TEXTS.filter(({ path }) => path.startsWith('docs/') && !found.has(path))
    assert.deepEqual(
      lost.map(({ path }) => path),
      [],
    )
  })

  test('README and ARCHITECTURE are short enough to be read', () => {
    const most = { 'README.md': [300, 3_000], 'ARCHITECTURE.md': [250, 3_000] } as const
    for (const [path, [lines, words]] of Object.entries(most)) {
      const text = textOf(path)
      assert.ok(text.split('\n').length <= lines, `${path} has more than ${lines} lines`)
      assert.ok(text.split(/\s+/).length <= words, `${path} has more than ${words} words`)
    }
  })

  test('the defaults that tables of options name are those of the schema', () => {
    const options: Record<string, unknown> = { ...parseOptions({}) }
    const wrong = [...textOf('docs/configuration.md').matchAll(/^\| `(\w+)` \| `([^`]+)` \|/gm)]
      .filter(([, name = '', told = '']) => {
        const value = options[name]
        return value !== undefined && told.replaceAll("'", '"') !== JSON.stringify(value) && told !== value
      })
      .map(([row]) => row)
    assert.deepEqual(wrong, [])
  })

  test('every option of createMesh is named as a basic or an advanced one', () => {
    const [, chapter = ''] = textOf('docs/configuration.md').split('\n## Options of `createMesh`\n')
    const [basic = '', advanced = ''] = (chapter.split('\n## ', 1)[0] ?? '').split('\nAdvanced, ')
    const isBasic = (name: string): boolean => BASIC_OPTIONS.some((one) => one.split('.', 1)[0] === name)
    const missing = Object.keys(MeshOptionsSchema.shape).filter(
      (name) => !(isBasic(name) ? basic : advanced).includes(`\`${name}\``),
    )
    assert.deepEqual(missing, [])
  })

  test('basic options are about fifteen, and options', () => {
    const known = new Set(
      leafShapes(keySpace().options).flatMap(({ path }) => path.map((_, at) => dotted(path.slice(0, at + 1)))),
    )
    assert.deepEqual(
      BASIC_OPTIONS.map(snakeCase).filter((key) => !known.has(key)),
      [],
    )
    assert.ok(BASIC_OPTIONS.length <= 16)
  })
})

describe('the rooms that documents name', () => {
  const LAYERS = ['protocols', 'discovery', 'node']
  /** Made by a test. */
  const PICTURES = 'test/artefacts'
  const foldersIn = (layer: string): string[] =>
    readdirSync(at(layer), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${layer}/${name}/`)

  test('are there', () => {
    const paths = ['ARCHITECTURE.md', 'SECURITY.md', 'CONTRIBUTING.md'].flatMap((path) =>
      [...textOf(path).matchAll(/`((?:protocols|discovery|node|examples|docker|test|docs)\/[\w./-]*)`/g)].map(
        ([, named = '']) => named,
      ),
    )
    assert.ok(paths.length > 40)
    assert.deepEqual(
      [...new Set(paths)].filter((named) => !existsSync(at(named)) && named !== PICTURES),
      [],
    )
  })

  test('are all rooms of each layer, with the rooms in them that stand beside them', () => {
    const [, rooms = ''] = textOf('ARCHITECTURE.md').split('\n## Rooms\n')
    const chapters = rooms.split('\n## ', 1)[0]?.split('\n### ') ?? []
    const named = LAYERS.flatMap((layer) => {
      const table = chapters.find((chapter) => chapter.startsWith(`${layer}/`)) ?? ''
      return [...table.matchAll(/^\| (`.*?) \| (.*) \|$/gm)].flatMap(([, first = '', about = '']) => {
        const names = [...first.matchAll(/`([\w-]+)\/`/g)].map(([, name = '']) => `${layer}/${name}/`)
        const inner =
          names.length === 1 ? [...about.matchAll(/`([\w-]+)\/`/g)].map(([, name]) => `${names[0]}${name}/`) : []
        const lost = inner.filter((path) => !existsSync(at(path)))
        assert.deepEqual(lost, [], 'a room in a room that is not there')
        return names
      })
    })
    assert.deepEqual(named.toSorted(), LAYERS.flatMap(foldersIn).toSorted())
  })
})

test('the generated parts of the documents are current', { timeout: 60_000 }, async () => {
  const old = (await renewedPages()).filter(({ kept, renewed }) => kept !== renewed)
  assert.deepEqual(
    old.map(({ path }) => path),
    [],
    'write them anew: npm run docs',
  )
})
