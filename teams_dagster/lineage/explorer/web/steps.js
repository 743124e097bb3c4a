// The steps of a sample's story: its seed, each edit, what was refused beside them, the answer.

const HOW = {
  policy: "drawn by the policy",
  guide: "named by the guide",
  fallback: "drawn, because the guide's answer could not be read",
  look_ahead: "chosen by looking ahead",
  branch: "one of all choices that were tried",
};

/** The texts of an instruction, with what changed since `before`, which is null where there is nothing to compare. */
function instructionElements(text, input, before) {
  const parts = [comparedElement("text", text, before && before.text)];
  if (input || before?.input) {
    parts.push(element("p", { class: "label", text: input ? "Input" : "Input, dropped" }));
    parts.push(comparedElement("text input", input ?? "", before && before.input));
  }
  return parts;
}

function comparedElement(kind, text, before) {
  if (before === null || before === undefined) return paragraph(kind, text);
  const tags = { same: "span", removed: "del", added: "ins" };
  const runs = differences(before, text).map(([change, run]) => element(tags[change], { text: run }));
  return element("p", { class: `${kind} compared`, dir: "auto" }, runs);
}

function stepElement(kind, name, title, aside, ...content) {
  return element(
    "li",
    { class: `step ${kind}`, tabindex: "-1", "data-step": name, "aria-label": `${name}: ${title}` },
    element("div", { class: "step-head" }, element("h3", { text: title, dir: "auto" }), aside),
    content,
  );
}

function seedStep(seed) {
  const { seeds } = tables;
  const answer = textOf(seeds.response[seed]);
  const place = [nameOf(seeds.source[seed]), `row ${count(seeds.row[seed])}`].filter(Boolean).join(", ");
  return stepElement(
    "seed",
    "Seed",
    "Seed",
    [element("span", { class: "soft", dir: "auto", text: place })],
    instructionElements(texts[seeds.text[seed]], texts[seeds.input[seed]], null),
    element(
      "details",
      { class: "questions" },
      element("summary", {}, element("span", { text: "Where it comes from" })),
      terms([
        ["Seed", idElement(seeds.seed_id[seed])],
        ["File", nameOf(seeds.source[seed])],
        ["Row", count(seeds.row[seed])],
        ["SHA-256 of the file", idElement(nameOf(seeds.source_sha256[seed]), 16)],
        ["Near duplicates share", idElement(nameOf(seeds.cluster_id[seed]))],
        ["Answered by people", answer ? paragraph("text", answer) : null],
      ]),
    ),
  );
}

/** What a transition started from, and what came back. */
function textsOf(transition) {
  const { text_before, input_before, text_after, input_after } = tables.transitions;
  return {
    before: { text: textOf(text_before[transition]) ?? "", input: textOf(input_before[transition]) ?? "" },
    after: { text: textOf(text_after[transition]), input: textOf(input_after[transition]) },
  };
}

function editStep(transition, number) {
  const table = tables.transitions;
  const { before, after } = textsOf(transition);
  const accepted = table.accepted[transition] === 1;
  return stepElement(
    accepted ? "edit" : "edit not-accepted",
    `Edit ${number}`,
    words(nameOf(table.operation[transition])),
    [
      badge(accepted ? "accepted" : `refused: ${refusalOf(transition)}`, accepted ? "good" : "bad"),
      element("span", { class: "figure", text: `reward ${decimals(table.reward[transition], 2)}` }),
    ],
    element("p", { class: "choice" }, choiceParts(transition)),
    after.text === null ? remark("No rewrite came back.") : instructionElements(after.text, after.input, before),
    questionsElement(questionsOf(transition), [transitionTerms(transition)]),
  );
}

function choiceParts(transition) {
  const { probability, chosen_by, proposed, novelty, policy_version, verdict } = tables.transitions;
  const share = Math.min(1, Math.max(0, probability[transition] ?? 0));
  const meter = element("span", { class: "meter", "aria-hidden": "true" });
  meter.append(element("span"));
  meter.firstChild.style.width = `${100 * share}%`;
  const how = nameOf(chosen_by[transition]);
  const other = nameOf(proposed[transition]);
  const version = nameOf(policy_version[transition]);
  return [
    meter,
    element("span", { text: `probability ${decimals(probability[transition])}` }),
    how ? element("span", { text: HOW[how] ?? words(how) }) : null,
    element("span", { title: version, text: `policy ${beginning(version, 10)}` }),
    other ? element("span", { text: `the guide named ${words(other)}` }) : null,
    verdict[transition] < 0 ? null : element("span", { text: `reviewer: ${verdictText(transition)}` }),
    novelty[transition] === null ? null : element("span", { text: `novelty ${decimals(novelty[transition], 2)}` }),
  ];
}

function transitionTerms(transition) {
  const table = tables.transitions;
  const output = outputOf("generated_instructions", table.partition_key[transition]);
  const guided = table.guidance_queries[transition];
  return terms([
    ["Policy", policyElement(nameOf(table.policy[transition]), table.policy_version[transition])],
    ["Rule", words(nameOf(table.eliminated_by[transition]) ?? "none refused it")],
    ["Reviewer", verdictText(transition)],
    ["Reward", rewardText(transition)],
    ["Novelty pool", idElement(nameOf(table.pool_version[transition]))],
    ["Prompt", templateElement(table.prompt_version[transition])],
    ["Review prompt", templateElement(table.review_prompt_version[transition])],
    ["Asked in order to choose", guided ? plural(guided, "query", "queries") : null],
    ["Failure", textOf(table.failure[transition])],
    ["Transition", idElement(table.transition_id[transition])],
    ["Episode", idElement(nameOf(table.episode_id[transition]))],
    ...originTerms("generated_instructions", table.partition_key[transition], table.run_id[transition], output),
  ]);
}

/** The verdict, how likely Not Equal was, and whether the order of the two texts mattered. */
function verdictText(transition) {
  const { verdict, verdict_probability, orders_agree } = tables.transitions;
  const parts = [words(nameOf(verdict[transition]) ?? "not asked")];
  if (verdict_probability[transition] !== null) parts.push(`P(Not Equal) ${decimals(verdict_probability[transition], 2)}`);
  const agree = orders_agree[transition];
  if (agree !== null) parts.push(agree ? "the same with the texts turned" : "another verdict with the texts turned");
  return parts.join(", ");
}

function rewardText(transition) {
  const { reward, reward_preset, novelty } = tables.transitions;
  const preset = nameOf(reward_preset[transition]);
  const parts = [decimals(reward[transition])];
  if (preset) parts.push(`preset ${preset}`);
  if (novelty[transition] !== null) parts.push(`novelty ${decimals(novelty[transition])}`);
  return parts.join(", ");
}

/** Where a row came from: asset, partition, run, and the version of the code. */
function originTerms(asset, partition, run, output) {
  const { code_version, fingerprint, made_at } = tables.outputs;
  return [
    ["Asset", `${asset}${partition >= 0 ? `, partition ${nameOf(partition)}` : ""}`],
    ["Run", idElement(nameOf(run), 8)],
    ["Code version", output < 0 ? "not recorded" : nameOf(code_version[output])],
    ["Output", output < 0 ? null : idElement(nameOf(fingerprint[output]), 16)],
    ["Made", output < 0 ? null : moment(nameOf(made_at[output]))],
  ];
}

function moment(text) {
  return text ? `${text.slice(0, 16).replace("T", " ")} UTC` : NOT_KNOWN;
}

function policyElement(name, version) {
  const row = facts.policies.get(version);
  if (row === undefined) return element("span", {}, `${words(name)} `, idElement(nameOf(version)));
  const { algorithm, instructor, reviewer, guide, iterations, queries, cost_nano_usd, unpriced } = tables.policies;
  const paid = unpriced[row] ? "unknown cost" : money(cost_nano_usd[row] ?? NaN);
  const took = [plural(iterations[row], "iteration"), plural(queries[row], "query", "queries"), paid];
  const roles = Object.entries({ instructor, reviewer, guide }).filter(([, column]) => column[row] >= 0);
  const models = roles.map(([role, column]) => `${role} ${nameOf(column[row])}`);
  return element(
    "span",
    {},
    `${words(name)} `,
    idElement(nameOf(version)),
    element("span", { class: "soft", text: ` trained by ${[nameOf(algorithm[row]), ...took, ...models].join(", ")}` }),
  );
}

function templateElement(version) {
  if (version < 0) return null;
  const row = facts.templates.get(version);
  if (row === undefined) return idElement(nameOf(version));
  return element(
    "details",
    { class: "template" },
    element("summary", {}, `${words(nameOf(tables.templates.name[row]))} `, idElement(nameOf(version))),
    paragraph("text input", texts[tables.templates.text[row]]),
  );
}

/** Edits of the episode that no sample of this chain was made from, between two of its steps. */
function besideStep(transitions) {
  const { operation, step } = tables.transitions;
  const what = transitions.map((edit) => `${words(nameOf(operation[edit]))}, ${refusalOf(edit)}`);
  const edits = transitions.map((edit) => editStep(edit, `refused at step ${step[edit] + 1}`));
  return element(
    "li",
    { class: "beside" },
    element(
      "details",
      {},
      element("summary", {}, element("span", { text: `${plural(edits.length, "refused edit")}: ${what.join("; ")}` })),
      element("ol", { class: "steps" }, edits),
    ),
  );
}

function responseStep(sample) {
  const { samples } = tables;
  const response = textOf(samples.response[sample]);
  const accepted = samples.accepted[sample] === 1;
  const transition = samples.transition_id[sample];
  const rows = questionsOf(transition, true);
  const output = outputOf("expert_responses", samples.partition_key[sample]);
  const origin = originTerms("expert_responses", samples.partition_key[sample], samples.run_id[sample], output);
  const versions = new Set(rows.map((row) => tables.questions.prompt_version[row]));
  const prompts = Array.from(versions, (version) => ["Prompt", templateElement(version)]);
  return stepElement(
    accepted ? "response" : "response not-accepted",
    "Response",
    "Response",
    [badge(accepted ? "accepted" : `refused: ${words(outcomeOf(sample))}`, accepted ? "good" : "bad")],
    response === null ? remark("No usable answer came back.") : paragraph("text", response),
    questionsElement(rows, [terms([...prompts, ...origin])]),
  );
}
