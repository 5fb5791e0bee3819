// The description of the API in FILE as people who generate clients use it: `redocly lint` with its recommended rules (by
// its library; the program needs a newer node than Debian's), then the exit status says whether nothing was found.
const { createConfig, lint } = require("@redocly/openapi-core");

async function main(file) {
	const config = await createConfig({ extends: ["recommended"] });
	const problems = await lint({ ref: file, config });

	for (const p of problems)
		console.log(`${p.severity} ${p.ruleId} ${p.location[0]?.pointer ?? ""}: ${p.message}`);
	console.log(`${problems.length} problems`);
	process.exitCode = problems.length === 0 ? 0 : 1;
}

main(process.argv[2]);
