package api

import (
	"cmp"
	"context"

	"github.com/tiny-forge/docker-watcher/internal/deploy"
	"github.com/tiny-forge/docker-watcher/internal/store"
)

// stageDiffJSON is what a deploy would change.
type stageDiffJSON struct {
	StageID   string             `json:"stage_id"`
	Image     string             `json:"image" doc:"the repository that is wanted"`
	Tag       string             `json:"tag,omitempty" doc:"the tag that is compared with; absent: that of each instance"`
	Instances []instanceDiffJSON `json:"instances" nullable:"false" doc:"those that have a process; none: nothing runs"`
}

type instanceDiffJSON struct {
	ID          string           `json:"id"`
	Name        string           `json:"name"`
	Status      string           `json:"status"`
	ImageTag    string           `json:"image_tag"`
	Unsure      string           `json:"unsure,omitempty" doc:"its engine could not be asked, and why: it is compared as it was deployed"`
	Differences []differenceJSON `json:"differences" nullable:"false"`
}

type differenceJSON struct {
	Field   string `json:"field" doc:"of the spec, such as env or resources.memory; image for the image"`
	Name    string `json:"name,omitempty" doc:"which one of them: a variable, a port, a path"`
	Change  string `json:"change" enum:"added,removed,changed"`
	Running string `json:"running,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	Secret  bool   `json:"secret,omitempty" doc:"its values were compared and are not shown"`
}

type diffStageIn struct {
	ByID
	Tag string `query:"tag" maxLength:"128" doc:"compare with this tag; absent: with the one that is ready, or that of each instance"`
}

// diffStage compares what runs with what the stage wants.
func (s *server) diffStage(ctx context.Context, in *diffStageIn) (*out[stageDiffJSON], error) {
	st, err := s.d.DB.Stage(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p, err := s.d.DB.Project(ctx, st.ProjectID)
	if err != nil {
		return nil, err
	}
	w := deploy.Wanted{Image: p.Image, Tag: in.Tag, Spec: st.Spec}
	polls, err := s.d.DB.StagePolls(ctx, st.ID)
	if err != nil {
		return nil, err
	}
	if ready := polls[st.ID]; ready.ReadyTag != "" && cmp.Or(w.Tag, ready.ReadyTag) == ready.ReadyTag && st.Strategy != store.StrategyParallel {
		w.Tag, w.Digest = ready.ReadyTag, ready.ReadyDigest
	}
	found, err := s.d.Deployer.CompareLive(ctx, st, w)
	if err != nil {
		return nil, err
	}
	shown := stageDiffJSON{StageID: st.ID, Image: w.Image, Tag: w.Tag, Instances: make([]instanceDiffJSON, 0, len(found))}
	for _, c := range found {
		shown.Instances = append(shown.Instances, instanceDiffOf(c, seesPlain(ctx, st.ProjectID)))
	}
	return answer(shown), nil
}

func instanceDiffOf(c deploy.Comparison, plain bool) instanceDiffJSON {
	v := c.Instance
	j := instanceDiffJSON{
		ID: v.ID, Name: v.Name, Status: string(v.Status), ImageTag: v.ImageTag, Unsure: c.Unsure,
		Differences: make([]differenceJSON, 0, len(c.Differences)),
	}
	for _, d := range c.Differences {
		if d.Plain && !plain {
			d.Running, d.Wanted, d.Secret = "", "", true
		}
		j.Differences = append(j.Differences, differenceJSON{
			Field: d.Field, Name: d.Name, Change: string(d.Change), Running: d.Running, Wanted: d.Wanted, Secret: d.Secret,
		})
	}
	return j
}
