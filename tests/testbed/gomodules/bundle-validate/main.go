// Validates an OLM bundle with the validators of operator-framework/api, those of OperatorHub included. Prints errors and
// warnings, one a line, and exits with 1 if there is an error. The validator of architectures is left out: it pulls the image.
package main

import (
	"fmt"
	"os"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
)

func main() {
	bundle, err := manifests.GetBundleFromDir(os.Args[1])
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	objects := []interface{}{bundle, bundle.CSV}
	for _, crd := range bundle.V1CRDs {
		objects = append(objects, crd)
	}
	failed := false
	validators := validation.DefaultBundleValidators.WithValidators(
		validation.OperatorHubV2Validator,
		validation.StandardCapabilitiesValidator,
		validation.StandardCategoriesValidator,
		validation.AlphaDeprecatedAPIsValidator,
		validation.GoodPracticesValidator,
	)
	for _, result := range validators.Validate(objects...) {
		for _, one := range result.Errors {
			fmt.Println("error:", one.Error())
			failed = true
		}
		for _, one := range result.Warnings {
			fmt.Println("warning:", one.Error())
		}
	}
	if failed {
		os.Exit(1)
	}
}
