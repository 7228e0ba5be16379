/** The scripts of `parley completion`, each in its own shell, as a person has them: what is offered for what was typed. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { assertError, type CommandFolder, commandFolder } from '../support/command.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

const LIMIT_MS = 20_000

/** What was typed, the last word being completed, and what is offered: all of it, or some of it. */
const CASES: readonly { typed: string; offers: readonly string[]; more?: true }[] = [
  { typed: 'parley coo', offers: ['coordinator'] },
  { typed: 'parley coordinator ', offers: ['history', 'status', 'transfer', 'voters'] },
  { typed: 'parley call --tim', offers: ['--timeout'] },
  { typed: 'parley send x --guarantee EX', offers: ['EXACTLY_ONCE'] },
  { typed: 'parley up --preset ', offers: ['lan', 'local', 'wan'] },
  { typed: 'parley top --node ga', offers: ['gamma'] },
  { typed: 'parley stop ga', offers: ['gamma'] },
  { typed: 'parley completion ', offers: ['bash', 'fish', 'zsh'] },
  { typed: 'parley ', offers: ['up', 'stop', 'peers', 'call', 'serve', 'doctor', 'config'], more: true },
]

const BASH = `
typed=$1
source ./bash
read -ra COMP_WORDS <<< "$typed"
[[ $typed == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_parley
printf '%s\\n' "\${COMPREPLY[@]}"
`

// zsh completes only where somebody types: in a terminal of its own, which lists what it would offer. What is typed
// before its line editor has taken over the terminal stands there twice: the editor says itself when it has.
const ZSH = `
zmodload zsh/zpty
zpty -b shell 'TERM=dumb zsh -f -i'
zpty -w shell "PS1=; unset zle_bracketed_paste; LISTMAX=1000; autoload -Uz compinit; compinit -u -D; source ./zsh; bindkey '^I' list-choices; zle-line-init() { print sho''ws }; zle -N zle-line-init"
local out='' part
repeat 100 { while zpty -r -t shell part; do out+=$part; done; [[ $out == *shows* ]] && break; sleep 0.05 }
out=''
zpty -w -n shell "$1"$'\\t'
repeat 200 { while zpty -r -t shell part; do out+=$part; done; [[ $out == *"$1"*$'\\n'*"$1"* ]] && break; sleep 0.05 }
print -r -- $out
`

const FISH = 'source ./fish; complete -C "$argv[1]"'

const isThere = (shell: Shell): boolean => spawnSync(shell, ['--version'], { stdio: 'ignore' }).status === 0

describe('completion', { timeout: 120_000 }, () => {
  let folder: CommandFolder

  before(async () => {
    folder = await commandFolder()
    await mkdir(join(folder.path, '.parley', 'gamma'), { recursive: true })
    await writeFile(join(folder.path, '.parley', 'gamma', 'node.json'), '{}')
    for (const shell of SHELLS) {
      const { code, stdout, stderr } = await folder.parley(['completion', shell])
      assert.equal(code, 0, stderr)
      await writeFile(join(folder.path, shell), stdout)
    }
  })
  after(() => folder.end())

  const run = async (program: string, args: readonly string[]): Promise<string> => {
    const child = spawn(program, args, {
      cwd: folder.path,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, HOME: folder.path, XDG_CONFIG_HOME: folder.path, XDG_DATA_HOME: folder.path },
      timeout: LIMIT_MS,
    })
    let out = ''
    for await (const chunk of child.stdout.setEncoding('utf8')) out += chunk
    return out
  }

  const firstWords = (text: string): string[] =>
    text.split('\n').flatMap((line) =>
      line
        .trim()
        .split(/\s/, 1)
        .filter((word) => word !== ''),
    )

  const offered: Record<Shell, (typed: string) => Promise<string[]>> = {
    bash: async (typed) => firstWords(await run('bash', ['--norc', '-c', BASH, 'complete', typed])),
    fish: async (typed) => firstWords(await run('fish', ['--no-config', '-c', FISH, typed])),
    async zsh(typed) {
      const out = await run('zsh', ['-f', '-c', ZSH, 'complete', typed])
      // Between the two times that it shows the line: one offer in each line with a description, else some in a line.
      const list = out.slice(out.indexOf(typed) + typed.length, out.lastIndexOf(typed.trimEnd()))
      return list.split('\n').flatMap((line) => {
        const [words = ''] = line.split(/\s+-- /, 1)
        return words.split(/\s+/).filter((word) => word !== '')
      })
    },
  }

  for (const shell of SHELLS) {
    it(`is right in ${shell}`, { skip: !isThere(shell) && `${shell} is not installed` }, async () => {
      for (const { typed, offers, more } of CASES) {
        const found = (await offered[shell](typed)).sort()
        if (more === true)
          for (const offer of offers) assert.ok(found.includes(offer), `${typed}: ${offer} in ${found}`)
        else assert.deepEqual(found, offers, typed)
      }
    })
  }

  it('is not there for another shell, and says for which it is', async () => {
    assertError(await folder.parley(['completion', 'tcsh']), 2, 'MSG001', /Allowed choices are bash, zsh, fish/)
  })
})
